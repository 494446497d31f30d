"""The processes of a training's loader: signals that are not meant for them, and what is known when one dies."""

import atexit
import multiprocessing
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any

import torch
from torch.utils.data import DataLoader

from eocore.train.resilience.preemption import INTERRUPT_SIGNAL, SAVE_SIGNAL, STOP_SIGNAL

ORDERS = (SAVE_SIGNAL, STOP_SIGNAL, INTERRUPT_SIGNAL)
END_PRIORITY = 10
"""Any number from 0 on comes before multiprocessing waits for processes."""


def prepare_loader(loader: DataLoader, timeout_s: float) -> None:
    """Gives the processes of `loader`, if it has any, a time limit for a batch [s] where it has none, and deaf ears for orders."""
    if loader.num_workers:
        loader.timeout = loader.timeout or timeout_s
        loader.worker_init_fn = partial(_ignore_orders, loader.worker_init_fn)


def _ignore_orders(own: Callable[[int], None] | None, number: int) -> None:
    """torchrun, schedulers and terminals signal all processes of a rank. It alone acts on it, and still needs the batches under way."""
    signal.set_wakeup_fd(-1)  # inherited from the rank, whose thread would take this process's signals for its own
    for order in ORDERS:
        signal.signal(order, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ORDERS)
    if own is not None:
        own(number)


@contextmanager
def _orders_held_back() -> Iterator[None]:
    """Processes begun inside cannot be ended by an order before they ignore it; this process gets it afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ORDERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _deaths_expected() -> Iterator[None]:
    """Inside, torch does not raise because a process has been killed: where an error holds the loader, it still watches over them."""
    before = signal.getsignal(signal.SIGCHLD)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield  # torch raises in the main thread alone, and only that may choose what a signal does
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


class Batches:
    """The batches of a loader, and its processes, from the first batch to `close`, which the end of this process calls too."""

    def __init__(self, loader: DataLoader) -> None:
        before = multiprocessing.active_children()
        # A loader draws a seed when it starts; a resumed run starts it later than the run it resumes from.
        with torch.random.fork_rng(devices=[]), _orders_held_back():
            self._iterator: Iterator[Any] | None = iter(loader)
        self._processes: list[BaseProcess] = [child for child in multiprocessing.active_children() if child not in before]
        # Registered after torch's own handlers, it runs before them: they would wait seconds for each process, then send what is ignored.
        self._at_exit = partial(_close, weakref.ref(self))
        atexit.register(self._at_exit)
        # A process that multiprocessing began runs no exit handlers but these, and then waits for its own without an end.
        self._at_end = Finalize(None, self._at_exit, exitpriority=END_PRIORITY)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._iterator is None:
            raise StopIteration
        return next(self._iterator)

    def close(self) -> None:
        """Ends the processes, which clear up after themselves."""
        atexit.unregister(self._at_exit)
        self._at_end.cancel()
        self._iterator = None  # a loader that is let go tells its processes to end
        if not self._processes:
            return
        with _deaths_expected():
            for process in self._processes:
                process.kill()  # one that is stuck in a sample does not hear that
            for process in self._processes:
                process.join()
        self._processes = []

    def __del__(self) -> None:
        if hasattr(self, "_at_end"):
            self.close()


def _close(batches: "weakref.ref[Batches]") -> None:
    there = batches()
    if there is not None:
        there.close()
