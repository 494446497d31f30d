"""Tries on this machine what a training and its model will do: bf16, several ranks, resuming, conversion, answers, kernels. Minutes.

bash tools/gpu_check.sh sets up the environment first. On a GPU all is tried; on a CPU what needs none, with gloo between the ranks.
"""

import argparse
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console

from eocore.checks.gpu_checks import describe
from eocore.checks.steps import Check, Outcome, count_line, exit_status, outcome_table, run_checks
from eocore.command import command
from eocore.errors import ConfigError
from eocore.train.device import has_gpu

ROOT = Path(__file__).resolve().parent.parent
CONFIG = "configs/earthmind/earthmind_tiny_synthetic.py"
LARGE_CONFIG = "configs/earthmind/earthmind_4b_sft.py"
LARGE_MEMORY_GIB = 40
"""GPU memory that a step of the 4B config on one rank needs, rounded up; configs/earthmind/earthmind_4b_sft_48gb.py states the parts."""
GPU_LIMIT_S, CPU_LIMIT_S = 150, 300
"""Longest that a check may take [s]; a CPU may have other work."""
GPU_BUDGET_S, CPU_BUDGET_S = 530, 1200
"""Of all checks together [s]: less than nine minutes on a GPU."""
STEPS, SAVED_AT = 6, 3
BF16 = "training.precision=bf16"
APART = [f"task.data.parts.{part}.data.independent=False" for part in (0, 1)]
"""Every question a sample's own: what kernels other than torch's sdpa can compute."""
QUESTION = "Please segment the water in this image."
WIDTH = 170
MADE_HERE = ".made_by_gpu_check"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out what takes long: compiled layers, ZeRO-3, the 4B config")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where everything is written (default: work_dirs/gpu_check)")
    parser.add_argument("--only", default="", metavar="TEXT", help="checks whose name contains this, and those that they need")
    parser.add_argument("--list", action="store_true", help="name the checks and run none")
    return parser.parse_args()


class Plan:
    """The checks for this machine.

    Args:
        out: folder of data, runs and models.
        quick: leave out what takes long.
    """

    def __init__(self, out: Path, *, quick: bool) -> None:
        self.out, self.quick = out, quick
        self.gpus = torch.cuda.device_count() if has_gpu() else 0
        self.limit_s = GPU_LIMIT_S if self.gpus else CPU_LIMIT_S

    def checks(self) -> list[Check]:
        """All, in their order; those that cannot be run here say why."""
        return [*self._training(), *self._kernels(), *self._model(), self._large()]

    def _training(self) -> list[Check]:
        data = [self._tool("make_synthetic"), "--out", str(self.out / "data"), "--train", "24", "--val", "4", "--test", "4"]
        steps = [BF16, f"training.max_iters={STEPS}", f"hooks.checkpoint.interval={SAVED_AT}", "hooks.metrics.interval=1"]
        run = self.out / "run"
        one_gpu = "one GPU: NCCL needs two" if self.gpus == 1 else ""
        between = "NCCL" if self.gpus else "gloo"
        ranks = ["train", CONFIG, "2", "--work-dir", str(self.out / "ranks"), "--cfg-options", *steps]
        resume = [CONFIG, "--work-dir", str(self.out / "resumed"), "--resume", str(run / f"iter_{SAVED_AT:06d}"), "--cfg-options", *steps]
        return [
            self._run("device", self._module("device")),
            self._run("pinned memory", self._module("pinned"), skip="" if self.gpus else "no GPU"),
            self._run("data", [sys.executable, *data]),
            self._check("train bf16", ["train", CONFIG, "--work-dir", str(run), "--cfg-options", *steps], needs=["data"]),
            self._check("resume", ["train", *resume], needs=["train bf16"]),
            self._run(f"train bf16 on 2 ranks ({between})", ["bash", "tools/dist.sh", *ranks], needs=["data"], skip=one_gpu),
        ]

    def _kernels(self) -> list[Check]:
        """Single steps of other choices than the config's."""
        flash = "" if importlib.util.find_spec("flash_attn") else "flash_attn is not installed"
        compiler = "" if shutil.which(os.environ.get("CXX", "g++")) else "no C++ compiler"
        long = "left out by --quick" if self.quick else ""
        attention = "+task.model.text_config.attn_implementation=flash_attention_2"
        return [
            self._step("ZeRO-3 step", "training.deepspeed=deepspeed_zero3", skip=long),
            self._step("packed attention kernel", *APART, skip="" if self.gpus else "no GPU: torch's kernel for packed samples needs one"),
            self._step("flash attention", *APART, attention, skip="" if self.gpus and not flash else flash or "no GPU"),
            self._step("compiled layers", "+task.compile=dynamic", skip=long or compiler),
        ]

    def _model(self) -> list[Check]:
        model, test = str(self.out / "model"), self.out / "data" / "test"
        convert = [CONFIG, "--pth-model", str(self.out / "run" / "latest"), "--save-path", model, "--dtype", "bfloat16"]
        images = ["--multispectral", str(test / "multispectral" / "test_00000.tif"), "--sar", str(test / "sar" / "test_00000.tif")]
        ask = [model, *images, "--text", QUESTION, "--max-new-tokens", "16"]
        fixed = ["--out", str(self.out / "predicted_fixed"), "--generation", "cache_implementation=static", f"compile={bool(self.gpus)}"]
        few = [f"evaluation.max_new_tokens={8 if self.quick else 24}"]
        scores = [CONFIG, "--model", model, "--out", str(self.out / "evaluation"), "--cfg-options", *few]
        return [
            self._check("convert to bf16", ["convert_to_hf", *convert], needs=["train bf16"]),
            self._check("predict", ["predict", *ask, "--out", str(self.out / "predicted")], needs=["convert to bf16"]),
            self._check(
                "predict, cache of fixed size",
                ["predict", *ask, *fixed],
                needs=["convert to bf16"],
                skip="left out by --quick" if self.quick else "",
            ),
            self._check("evaluate", ["test", *scores], needs=["convert to bf16"]),
        ]

    def _large(self) -> Check:
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30 if self.gpus else 0.0
        skip = "left out by --quick" if self.quick else ""
        if not self.gpus:
            skip = "no GPU"
        elif memory < LARGE_MEMORY_GIB:
            skip = f"{memory:.0f} GiB of GPU memory, a step needs {LARGE_MEMORY_GIB}"
        options = ["--config", LARGE_CONFIG, "--samples", "vqa,seg", "--repeats", "1", "--json", str(self.out / "large_step.json")]
        return self._check("step of the 4B config", ["benchmark", "train", *options], skip=skip)

    def _step(self, name: str, *options: str, skip: str) -> Check:
        return self._check(name, ["train", CONFIG, "--dry-run", "--cfg-options", BF16, *options], needs=["data"], skip=skip)

    def _check(self, name: str, call: Sequence[str], *, needs: Sequence[str] = (), skip: str = "") -> Check:
        return self._run(name, [sys.executable, self._tool(call[0]), *call[1:]], needs=needs, skip=skip)

    def _run(self, name: str, command: Sequence[str], *, needs: Sequence[str] = (), skip: str = "") -> Check:
        return Check(name=name, command=command, limit_s=self.limit_s, needs=needs, skip=skip, environment=self._environment())

    def _environment(self) -> dict[str, str]:
        """The config finds the data through it, each process the packages."""
        packages = os.pathsep.join([str(ROOT / "projects"), os.environ.get("PYTHONPATH", "")])
        return {"SYNTHETIC_ROOT": str(self.out / "data"), "PYTHONPATH": packages, "PYTHON": sys.executable}

    def _module(self, check: str) -> list[str]:
        return [sys.executable, "-m", "eocore.checks.gpu_checks", check]

    def _tool(self, name: str) -> str:
        return str(ROOT / "tools" / f"{name}.py")


def chosen(checks: Sequence[Check], text: str) -> list[Check]:
    """The checks whose name contains `text`, and those that they need.

    Raises:
        ConfigError: there is none.
    """
    wanted = {check.name for check in checks if text in check.name}
    if not wanted:
        raise ConfigError(f"no check is called '{text}'. Checks: {', '.join(check.name for check in checks)}.")
    for check in reversed(checks):
        if check.name in wanted:
            wanted.update(check.needs)
    return [check for check in checks if check.name in wanted]


def prepare(out: Path) -> None:
    """An empty folder, of which this command may remove what it wrote.

    Raises:
        ConfigError: it holds files of others.
    """
    if out.exists() and any(out.iterdir()) and not (out / MADE_HERE).exists():
        raise ConfigError(f"{out} holds files that this check did not write, so it is left alone. Name another folder with --out.")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / MADE_HERE).touch()


def tell(outcome: Outcome) -> None:
    """A line as soon as a check is done."""
    reason = f"  ({outcome.reason})" if outcome.reason else ""
    print(f"{outcome.result:8} {outcome.seconds:5.0f} s  {outcome.name}{reason}", flush=True)


@command
def main() -> int:
    """Runs the checks; 1 where one failed."""
    arguments = parse_arguments()
    out = (arguments.out or ROOT / "work_dirs" / "gpu_check").resolve()
    checks = chosen(Plan(out, quick=arguments.quick).checks(), arguments.only)
    if arguments.list:
        print("\n".join(check.name for check in checks))
        return 0
    prepare(out)
    os.chdir(ROOT)
    print(describe(), flush=True)
    outcomes = run_checks(checks, out / "logs", budget_s=GPU_BUDGET_S if has_gpu() else CPU_BUDGET_S, tell=tell)
    (out / "checks.json").write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1, default=str) + "\n", encoding="utf-8")
    Console(width=None if sys.stdout.isatty() else WIDTH).print(outcome_table(outcomes, title=describe()))
    print(count_line(outcomes))
    return exit_status(outcomes)


if __name__ == "__main__":
    sys.exit(main())
