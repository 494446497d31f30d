"""A run that is told to save or to stop (R6), and one that torchrun starts again (R7): the real command, two gloo ranks."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from eocore.train.resilience.preemption import ENDED_AT_ONCE, Orders
from eocore.train.work_dir import read_status

TASK = Path(__file__).resolve().parents[1] / "faulty_task.py"
LONGEST_S = 900
"""Longest wait [s]: on a busy machine a start alone takes minutes."""
FIRST_CTRL_C = "Ctrl-C: saving after this update, then stopping"


def start(config: dict[str, Any], work_dir: Path, *rest: str, restarts: int = 0) -> subprocess.Popen[str]:
    path = work_dir.with_suffix(".json")
    path.write_text(json.dumps(config))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", str(restarts)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with work_dir.with_suffix(".log").open("a") as log:
        return subprocess.Popen(
            [*launcher, str(TASK), str(path), str(work_dir), *rest], stdout=log, stderr=subprocess.STDOUT, text=True, env=environment
        )


def wait_until(reached: Callable[[], bool], work_dir: Path) -> None:
    """Waits as long as a busy machine may need to start a training; fails with what the run wrote."""
    deadline = time.monotonic() + LONGEST_S
    while not reached():
        assert time.monotonic() < deadline, work_dir.with_suffix(".log").read_text()[-3000:]
        time.sleep(0.05)


def wait_for_step(work_dir: Path, step: int) -> None:
    path = work_dir / "scalars.jsonl"
    wait_until(lambda: path.exists() and len(path.read_text().splitlines()) >= step, work_dir)


def alive(process: int) -> bool:
    """False for one that has ended, even if nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def weights(work_dir: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(work_dir / f"iter_{step:06d}" / "trainable.safetensors")


@pytest.fixture(scope="module")
def straight(faulty: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of twelve updates that nothing disturbs."""
    work_dir = tmp_path_factory.mktemp("straight") / "run"
    assert [rank.code for rank in faulty.run_ranks(faulty.make_config(max_iters=12), work_dir)] == [0, 0]
    return work_dir


@pytest.mark.fault
def test_sigterm_saves_stops_and_resumes_exactly(faulty: ModuleType, straight: Path, tmp_path: Path) -> None:
    """Sent to torchrun, twice, while steps take 0.5 s; torchrun passes it on to the loader's processes as well, which must not heed it."""
    config = faulty.make_config({"sleep": 0.5, "num_workers": 1}, {"interval": 100}, max_iters=12)
    run = start(config, tmp_path / "run")
    wait_for_step(tmp_path / "run", 3)
    run.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    assert run.wait(LONGEST_S) != 0
    status = read_status(tmp_path / "run")
    assert status["state"] == "preempted" and 3 <= status["step"] < 12, status
    assert status["checkpoint"] == f"iter_{status['step']:06d}"
    again = faulty.run_ranks(faulty.make_config(None, {"interval": 100}, max_iters=12), tmp_path / "run", resume="auto")
    assert [rank.code for rank in again] == [0, 0], again[0].text[-3000:]
    assert all(torch.equal(value, weights(straight, 12)[name]) for name, value in weights(tmp_path / "run", 12).items())


@pytest.mark.fault
def test_ctrl_c_saves_stops_and_resumes_exactly(faulty: ModuleType, straight: Path, tmp_path: Path) -> None:
    """Sent to torchrun, as a terminal does; it passes it on to the ranks and their loaders' processes, which must not heed it."""
    run = start(faulty.make_config({"sleep": 0.3, "num_workers": 1}, {"interval": 100}, max_iters=12), tmp_path / "run")
    wait_for_step(tmp_path / "run", 3)
    run.send_signal(signal.SIGINT)
    assert run.wait(LONGEST_S) != 0
    status = read_status(tmp_path / "run")
    assert (status["state"], status["reason"]) == ("interrupted", "told to stop (SIGINT, Ctrl-C)") and 3 <= status["step"] < 12, status
    text = (tmp_path / "run.log").read_text()
    assert FIRST_CTRL_C in text and "Continue: the same command with --resume" in text
    again = faulty.run_ranks(faulty.make_config(None, {"interval": 100}, max_iters=12), tmp_path / "run", resume="auto")
    assert [rank.code for rank in again] == [0, 0], again[0].text[-3000:]
    assert all(torch.equal(value, weights(straight, 12)[name]) for name, value in weights(tmp_path / "run", 12).items())


@pytest.mark.parametrize(
    ("step", "presses", "told"),
    [
        (1, 1, "ended by Ctrl-C before any update; there is no checkpoint: start again from step 0 with --resume"),
        (
            4,
            2,
            "ended at once by a second Ctrl-C; updates since the newest checkpoint are lost; resume from iter_000003 with the same command",
        ),
    ],
)
def test_ctrl_c_ends_at_once_before_the_first_update_and_the_second_time(
    faulty: ModuleType, tmp_path: Path, step: int, presses: int, told: str
) -> None:
    """In a forward pass that does not come back."""
    work_dir = tmp_path / "run"
    fault = {"kind": "hang", "step": step, "marker": str(work_dir.with_suffix(".hangs"))}
    log = work_dir.with_suffix(".log")
    run = faulty.start_alone(faulty.make_config({"faults": [fault], "num_workers": 1}), work_dir, log)
    wait_until(work_dir.with_suffix(".hangs").exists, work_dir)
    for number in range(presses):
        # two that come before the process gets its turn are one to it
        wait_until(lambda: log.read_text().count(FIRST_CTRL_C) == number, work_dir)  # noqa: B023  (called here)
        assert run.exitcode is None, "one is not enough where there is something to save"
        os.killpg(run.pid, signal.SIGINT)
    run.join(LONGEST_S)
    assert run.exitcode == ENDED_AT_ONCE
    text = log.read_text()
    assert told in text.rstrip().splitlines()[-1] and "Traceback" not in text, text[-2000:]
    assert (read_status(work_dir)["state"], read_status(work_dir)["step"]) == ("interrupted", step - 1)
    wait_until(lambda: run.pid not in map(session_of, Path("/proc").glob("[0-9]*")), work_dir)  # the loader's processes


def session_of(process: Path) -> int:
    """0 for one that has ended."""
    try:
        state, _, _, session, *_ = (process / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return 0 if state == "Z" else int(session)


@pytest.mark.fault
def test_a_signal_to_one_rank_acts_on_all(faulty: ModuleType, straight: Path, tmp_path: Path) -> None:
    """SIGUSR1 saves and continues, SIGTERM saves and stops; both reach rank 1 alone, in the middle of a step."""
    faults = [{"kind": "SIGUSR1", "rank": 1, "step": 2}, {"kind": "SIGTERM", "rank": 1, "step": 5}]
    ranks = faulty.run_ranks(faulty.make_config({"faults": faults}, {"interval": 100}, max_iters=12), tmp_path / "run")
    assert [rank.code for rank in ranks] == [75, 75], ranks[1].text[-3000:]
    assert [path.name for path in sorted((tmp_path / "run").glob("iter_*"))] == ["iter_000002", "iter_000005"]
    assert read_status(tmp_path / "run")["state"] == "preempted"
    again = faulty.run_ranks(faulty.make_config(None, {"interval": 100}, max_iters=12), tmp_path / "run", resume="auto")
    assert [rank.code for rank in again] == [0, 0], again[0].text[-3000:]
    assert all(torch.equal(value, weights(straight, 12)[name]) for name, value in weights(tmp_path / "run", 12).items())


@pytest.mark.fault
def test_torchrun_starts_a_killed_rank_again_and_the_run_resumes(faulty: ModuleType, straight: Path, tmp_path: Path) -> None:
    faults = [{"kind": "kill", "rank": 1, "step": 8, "marker": str(tmp_path / "struck")}]
    run = start(faulty.make_config({"faults": faults}, max_iters=12), tmp_path / "run", restarts=1)
    assert run.wait(LONGEST_S) == 0, (tmp_path / "run.log").read_text()[-3000:]
    starts = [json.loads(line)["resumed_from"] for line in (tmp_path / "run" / "runs.jsonl").read_text().splitlines()]
    assert starts == [None, "iter_000006"] and read_status(tmp_path / "run")["state"] == "finished"
    assert all(torch.equal(value, weights(straight, 12)[name]) for name, value in weights(tmp_path / "run", 12).items())


@pytest.mark.fault
def test_ranks_end_when_torchrun_is_killed(faulty: ModuleType, tmp_path: Path) -> None:
    run = start(faulty.make_config({"sleep": 0.3}, max_iters=500), tmp_path / "run")
    wait_for_step(tmp_path / "run", 2)
    children = [int(child) for child in Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()]
    assert len(children) == 2
    run.kill()
    run.wait()
    wait_until(lambda: not any(alive(child) for child in children), tmp_path / "run")  # no orphans
    assert "the launcher (torchrun) is gone" in read_status(tmp_path / "run")["reason"]


def test_signals_are_noted_and_handlers_given_back() -> None:
    orders, before = Orders(), signal.getsignal(signal.SIGTERM)
    with orders.listening():
        os.kill(os.getpid(), signal.SIGUSR1)
        assert (orders.save, orders.stop) == (True, False)
        orders.agree(save=True, stop=False)
        assert (orders.save, orders.save_agreed, orders.stop_agreed) == (False, True, False)
        os.kill(os.getpid(), signal.SIGTERM)
        assert orders.stop and not orders.stop_agreed, "this rank alone decides nothing"
    assert signal.getsignal(signal.SIGTERM) == before
