"""Processes of the loader: what they hear, and how they end. Their deaths: test_loop.py, test_watchdog.py."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, IterableDataset

from eocore.train.loader import ORDERS, Batches, prepare_loader

PROGRAM = """
import multiprocessing, sys, time
from eocore.train.loader import Batches, prepare_loader
from torch.utils.data import DataLoader, IterableDataset

class Endless(IterableDataset):
    def __iter__(self):
        yield 0
        while True:
            time.sleep(3600 if sys.argv[1] == "stuck" else 0.01)
            yield 1

loader = DataLoader(Endless(), batch_size=None, num_workers=2)
prepare_loader(loader, 30)
batches = Batches(loader)
print(*[child.pid for child in multiprocessing.active_children()], flush=True)
next(batches)
raise ValueError("on purpose")
"""
"""A training that fails while its loader's processes are at work."""


class Numbers(IterableDataset):
    def __init__(self, pause_s: float = 0.0) -> None:
        self.pause_s = pause_s

    def __iter__(self) -> Iterator[int]:
        for number in range(1000):
            yield number
            time.sleep(self.pause_s)


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def all_gone(processes: list[int], within_s: float = 60) -> bool:
    """True once all have ended, which a killed process does when it gets the processor next."""
    deadline = time.monotonic() + within_s
    while not all(map(gone, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return all(map(gone, processes))


def start(pause_s: float = 0.0) -> tuple[Batches, list[int]]:
    loader = DataLoader(Numbers(pause_s), batch_size=None, num_workers=2)
    prepare_loader(loader, 30)
    before = {child.pid for child in multiprocessing.active_children()}
    batches = Batches(loader)
    return batches, [child.pid for child in multiprocessing.active_children() if child.pid and child.pid not in before]


@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGUSR1])
def test_orders_to_a_rank_leave_its_loader_at_work(order: signal.Signals) -> None:
    batches, processes = start()
    next(batches)
    for process in processes:
        os.kill(process, order)
    assert len([next(batches) for _ in range(50)]) == 50
    batches.close()
    assert all_gone(processes) and list(batches) == []


def test_a_loader_that_is_forgotten_ends() -> None:
    batches, processes = start()
    next(batches)
    del batches
    assert all_gone(processes)


@pytest.mark.parametrize("state", ["at work", "stuck"])
def test_a_failing_rank_waits_for_no_process(state: str, tmp_path: Path) -> None:
    """Not even one that is stuck in a sample and ignores the signal that ends processes; one at work leaves nothing behind."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, state], capture_output=True, text=True, timeout=600, env=environment, check=False
    )
    assert done.returncode == 1 and "on purpose" in done.stderr
    processes = [int(number) for number in done.stdout.split()]
    assert len(processes) == 2 and all_gone(processes)
    assert state == "stuck" or not list(tmp_path.glob("pymp-*"))


def test_a_limit_and_a_start_of_its_own_are_kept() -> None:
    def name(number: int) -> None:
        os.environ["NUMBER"] = str(number)

    loader = DataLoader(Numbers(), batch_size=None, num_workers=1, timeout=7, worker_init_fn=name)
    prepare_loader(loader, 30)
    assert loader.timeout == 7
    before, heard = os.environ.get("NUMBER"), {order: signal.getsignal(order) for order in ORDERS}
    try:
        loader.worker_init_fn(3)
    finally:  # it makes the process deaf in which it runs, here the tests' own
        for order, handler in heard.items():
            signal.signal(order, handler)
    assert os.environ.pop("NUMBER") == "3" and before is None
