"""The synthetic training made small, by the commands a user types."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import forked
from ports import free_port

ROOT = Path(__file__).resolve().parents[2]
SMALLER = """_base_ = ["{base}"]
training = dict(max_iters={steps}, precision="fp32")
hooks = dict(metrics=dict(type="MetricsHook", interval=1), checkpoint={checkpoint}, loss_curve=None)
tracking = []
task = dict(
    batch_size={batch_size},
    num_workers=0,
    length_window=2,
    model=dict(
        vision_config=dict(num_hidden_layers=1, hidden_size=32, intermediate_size=64),
        text_config=dict(num_hidden_layers=2, hidden_size=64, intermediate_size=128),
    ),
    losses=dict(num_points=256),
)
"""
GLOBAL_BATCH = 8
LOSSES = ("loss", "loss_text", "loss_mask", "loss_dice", "loss_attention", "loss_alignment")


def write_config(work_dir: Path, *, ranks: int, steps: int, saved_every: int | None = None) -> Path:
    """A config in a new folder, with its share of the global batch for each rank."""
    work_dir.mkdir()
    base = ROOT / "configs" / "earthmind" / "earthmind_tiny_synthetic.py"
    config = work_dir / "config.py"
    checkpoint = {"type": "CheckpointHook", "interval": saved_every, "keep": 2} if saved_every else None
    config.write_text(SMALLER.format(base=base, steps=steps, batch_size=GLOBAL_BATCH // ranks, checkpoint=checkpoint))
    return config


def start(command: Sequence[str | Path], world: Path, log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """A launcher's command on a config in the folder of `log`, to which it writes; without GPUs."""
    # one thread: two that wait for each other on busy cores make a step ten times as long
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    variables = os.environ | threads | {"SYNTHETIC_ROOT": str(world), "CUDA_VISIBLE_DEVICES": ""} | environment
    words = [*map(str, command), "--trust-config", "--work-dir", str(log.parent / "run")]
    with log.open("wb") as file:
        return subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT, env=variables, cwd=log.parent)


def finish(process: subprocess.Popen[bytes], log: Path, timeout_s: float = 600) -> str:
    """What a launcher wrote, once it has ended well."""
    try:
        code = process.wait(timeout_s)
    finally:
        process.kill()
    text = log.read_text()
    assert code == 0, text[-3000:]
    return text


def scalars(work_dir: Path) -> list[dict[str, float]]:
    """The lines of scalars.jsonl; none where it is not there yet."""
    path = work_dir / "run" / "scalars.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def train(world: Path, work_dir: Path, *, deepspeed: str, ranks: int, steps: int) -> list[dict[str, float]]:
    """The scalars of a training on this machine through tools/dist.sh."""
    config = write_config(work_dir, ranks=ranks, steps=steps)
    log = work_dir / "launcher.log"
    finish(start(["bash", ROOT / "tools" / "dist.sh", "train", config, str(ranks)], world, log, DEEPSPEED=deepspeed), log)
    return scalars(work_dir)


def train_alone(world: Path, work_dir: Path, *, deepspeed: str, steps: int) -> list[dict[str, float]]:
    """The scalars of a training on one rank through tools/train.py."""
    config = write_config(work_dir, ranks=1, steps=steps)
    words = [ROOT / "tools" / "train.py", config, "--trust-config", "--work-dir", work_dir / "run", "--deepspeed", deepspeed]
    variables = os.environ | {"OMP_NUM_THREADS": "1", "SYNTHETIC_ROOT": str(world), "CUDA_VISIBLE_DEVICES": ""}
    done = forked.run(words, cwd=work_dir, environment=variables, timeout_s=600)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return scalars(work_dir)


def train_together(world: Path, work_dir: Path, *, deepspeed: str, ranks: int, steps: int) -> list[dict[str, float]]:
    """The scalars of a training on several ranks through tools/train.py, as tools/dist.sh starts it."""
    config = write_config(work_dir, ranks=ranks, steps=steps)
    words = [ROOT / "tools" / "train.py", config, "--launcher", "pytorch", "--trust-config"]
    words += ["--work-dir", work_dir / "run", "--deepspeed", deepspeed]
    for done in forked.run_ranks(words, ranks=ranks, cwd=work_dir, port=free_port(), environment={"SYNTHETIC_ROOT": str(world)}):
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return scalars(work_dir)


def largest_deviation(found: Sequence[Mapping[str, float]], expected: Sequence[Mapping[str, float]]) -> float:
    """Relative, over all parts of the loss and steps; a part is 0 in a step without masks or pairs."""
    assert [line["step"] for line in found] == [line["step"] for line in expected]
    pairs = [(line[name], other[name]) for line, other in zip(found, expected, strict=True) for name in LOSSES]
    return max(abs(value - other) / max(abs(value), abs(other)) for value, other in pairs if value or other)
