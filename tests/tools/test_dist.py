"""The launchers: what they start, with which environment, and what they refuse. The interpreter is a stand-in that tells its call."""

import os
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
TELL = """#!/bin/sh
for argument in "$@"; do echo "argument $argument"; done
env | grep -E '^(DS_ACCELERATOR|OMP_NUM_THREADS|MASTER_PORT|PYTHONPATH)=' | sed 's/^/environment /'
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("python", "srun"):
        (tmp_path / name).write_text(TELL)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "config.py").write_text("seed = 0\n")
    return tmp_path


def call(place: Path, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    keep = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG")}
    environment = keep | {"PATH": f"{place}:/usr/bin:/bin", "PYTHON": str(place / "python"), "CUDA_VISIBLE_DEVICES": ""} | environment
    return subprocess.run(["bash", str(TOOLS / script), *arguments], capture_output=True, text=True, env=environment, cwd=place)


def told(done: subprocess.CompletedProcess[str]) -> tuple[list[str], dict[str, str]]:
    assert done.returncode == 0, done.stderr
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    pairs = [text.split("=", 1) for kind, text in lines if kind == "environment"]
    return [text for kind, text in lines if kind == "argument"], {name: value for name, value in pairs}


def test_one_machine_needs_no_address(place: Path) -> None:
    arguments, environment = told(call(place, "dist.sh", "train", "config.py", "2", "--seed", "3", DEEPSPEED="deepspeed_zero3"))
    assert arguments[:5] == ["-m", "eocore.train.torchrun", "--standalone", "--nproc-per-node", "2"]
    assert arguments[5:8] == ["--log-dir", "/dev/null", str(TOOLS / "train.py")]
    assert arguments[8:] == ["config.py", "--launcher", "pytorch", "--deepspeed", "deepspeed_zero3", "--seed", "3"]
    assert environment["DS_ACCELERATOR"] == "cpu"
    assert environment["PYTHONPATH"].startswith(str(TOOLS.parent / "projects"))


def test_cores_are_shared_among_the_ranks(place: Path) -> None:
    _, environment = told(call(place, "dist.sh", "train", "config.py", "1"))
    cores = os.cpu_count() or 1
    assert environment["OMP_NUM_THREADS"] == str(cores)
    _, environment = told(call(place, "dist.sh", "train", "config.py", str(4 * cores)))
    assert environment["OMP_NUM_THREADS"] == "1"
    _, environment = told(call(place, "dist.sh", "train", "config.py", "1", OMP_NUM_THREADS="7"))
    assert environment["OMP_NUM_THREADS"] == "7"


def test_several_machines_meet_at_an_address(place: Path) -> None:
    done = call(place, "dist.sh", "train", "config.py", "8", NNODES="2", NODE_RANK="1", MASTER_ADDR="10.0.0.1", PORT="1234")
    arguments, _ = told(done)
    expected = ["--nnodes", "2", "--node-rank", "1", "--master-addr", "10.0.0.1", "--master-port", "1234"]
    assert arguments[2:10] == expected


def test_without_deepspeed_the_config_decides(place: Path) -> None:
    arguments, _ = told(call(place, "dist.sh", "train", "config.py", "1"))
    assert "--deepspeed" not in arguments


def test_a_flag_with_a_space_stays_one_argument(place: Path) -> None:
    arguments, _ = told(call(place, "dist.sh", "train", "config.py", "1", "--work-dir", "a b"))
    assert arguments[-1] == "a b"


def test_slurm_starts_a_task_for_each_gpu(place: Path) -> None:
    done = call(place, "slurm.sh", "gpu", "train", "config.py", "16", "--dry-run", DEEPSPEED="deepspeed_zero2", SRUN_ARGS="--exclusive")
    arguments, environment = told(done)
    assert arguments[:9] == ["-p", "gpu", "--job-name", "train", "--gres", "gpu:8", "--ntasks", "16", "--ntasks-per-node"]
    assert "--exclusive" in arguments
    assert arguments[-6:] == ["config.py", "--launcher", "slurm", "--deepspeed", "deepspeed_zero2", "--dry-run"]
    assert environment["MASTER_PORT"] == "29500"


@pytest.mark.parametrize("script", ["dist.sh", "slurm.sh"])
def test_help_tells_the_usage(place: Path, script: str) -> None:
    done = call(place, script, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"Usage: bash tools/{script}") and "DEEPSPEED" in done.stdout


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("dist.sh", ["train"], r"expected TOOL CONFIG GPUS, found 1 argument"),
        ("dist.sh", ["trian", "config.py", "2"], r"no tool 'trian'"),
        ("dist.sh", ["train", "none.py", "2"], r"config none.py does not exist"),
        ("dist.sh", ["train", "config.py", "two"], r"GPUS is 'two'; expected a whole number"),
        ("slurm.sh", ["gpu", "train", "config.py"], r"expected PARTITION TOOL CONFIG GPUS, found 3 argument"),
        ("slurm.sh", ["gpu", "train", "config.py", "0"], r"GPUS is '0'; expected a whole number"),
    ],
)
def test_wrong_calls_are_refused_with_the_way_to_help(place: Path, script: str, arguments: list[str], message: str) -> None:
    done = call(place, script, *arguments)
    assert done.returncode == 2 and message in done.stderr and f"Try: bash tools/{script} --help" in done.stderr


def test_a_missing_interpreter_is_named(place: Path) -> None:
    done = call(place, "dist.sh", "train", "config.py", "1", PYTHON="/no/python")
    assert done.returncode == 2 and "no Python interpreter '/no/python'" in done.stderr


def test_without_slurm_the_other_launcher_is_named(place: Path) -> None:
    (place / "srun").unlink()
    done = call(place, "slurm.sh", "gpu", "train", "config.py", "2")
    assert done.returncode == 2 and "Use tools/dist.sh" in done.stderr
