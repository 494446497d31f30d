"""Which sample each loader process is preparing, so that one that hangs or dies can be named by the process that waits for it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

NOTHING = -1
_here = torch.full((1, 3), NOTHING, dtype=torch.int64)
_workers: Tensor | None = None


def open_table(num_workers: int) -> None:
    """Makes the table that loader processes started from now on write to; they inherit it (start method fork, the default on Linux)."""
    global _workers
    _workers = torch.full((num_workers, 3), NOTHING, dtype=torch.int64).share_memory_() if num_workers else None


@contextmanager
def own_table() -> Iterator[None]:
    """Inside, another loader may work; afterwards the samples noted before stand again."""
    global _workers
    workers, here = _workers, _here.clone()
    try:
        yield
    finally:
        _workers = workers
        _here.copy_(here)


def note_sample(epoch: int, index: int) -> None:
    """This process begins to prepare a sample."""
    info = get_worker_info()
    if info is None:
        _here[0] = torch.tensor([os.getpid(), epoch, index])
    elif _workers is not None and info.id < len(_workers):
        _workers[info.id] = torch.tensor([os.getpid(), epoch, index])


def describe_samples(describe: Callable[[tuple[int, int]], str]) -> list[str]:
    """The sample each loader process has last begun, or this one's where there are none.

    Args:
        describe: (epoch, index) -> dataset, sample id and source.
    """
    table = _here if _workers is None else _workers
    rows = [(pid, (epoch, index)) for pid, epoch, index in table.tolist() if pid != NOTHING]
    return [f"process {pid}: {describe(key)}, epoch {key[0]}" for pid, key in rows]
