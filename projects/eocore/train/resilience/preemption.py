"""What a run is told from outside while it trains: to save, or to save and stop."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from eocore.log import get_logger

SAVE_SIGNAL = signal.SIGUSR1
STOP_SIGNAL = signal.SIGTERM
INTERRUPT_SIGNAL = signal.SIGINT
ENDED_AT_ONCE = 130
"""Exit status of a process that Ctrl-C ended at once. Source: what a shell gives for a program that SIGINT ended, 128 + 2."""
ENOUGH = b"\0"
"""No signal has this number."""
SHOW_CURSOR = "\x1b[?25h"
"""A progress bar hides it."""


class Orders:
    """Wishes of this rank, and what all ranks agreed on in the last update.

    A signal may reach one rank alone, and any rank at any moment; so ranks put their wishes together once per update and act alike.

    Attributes:
        save: this rank was told to save.
        stop: this rank was told to save and stop.
        interrupted: it was told so by Ctrl-C.
        save_agreed: some rank was, all save after this update.
        stop_agreed: some rank was, all save and stop after this update.
        interrupt_agreed: some rank was told to stop by Ctrl-C.
    """

    def __init__(self) -> None:
        self.save = self.stop = self.interrupted = False
        self.save_agreed = self.stop_agreed = self.interrupt_agreed = False

    def agree(self, *, save: bool, stop: bool, interrupted: bool = False) -> None:
        """Takes over what the ranks wished in this update."""
        self.save_agreed, self.stop_agreed, self.interrupt_agreed = save, stop, interrupted
        if save:
            self.save = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """SIGUSR1 means save, SIGTERM means save and stop, until the block ends. For the main thread."""
        before = {number: signal.signal(number, self._note) for number in (SAVE_SIGNAL, STOP_SIGNAL)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if number == STOP_SIGNAL:
            self.stop = True
        else:
            self.save = True
        get_logger().info("%s: %s after this update", signal.Signals(number).name, "save and stop" if self.stop else "save")


class Interrupts:
    """Ctrl-C, between `with` and its end: the first one means save and stop, any other stop signal after it ends this process at once.

    One that comes before there is anything to save ends it at once, too. A thread of its own hears the signals, so that they act even
    while the main thread waits for other ranks, where Python runs no handler.
    """

    def __init__(self, on_end: Callable[[bool], None]) -> None:
        """
        Args:
            on_end: called before this process ends at once; gets True where it was told to stop before.
        """
        self.on_end = on_end
        self._orders: Orders | None = None
        self._can_save: Callable[[], bool] = lambda: False

    def obey(self, orders: Orders, *, can_save: Callable[[], bool]) -> None:
        """From here on the first Ctrl-C goes to `orders`, once `can_save` says that an update was made."""
        self._orders, self._can_save = orders, can_save

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        # Python writes the number of every signal it has a handler for, at once and from whatever it is doing.
        self._handler = signal.signal(INTERRUPT_SIGNAL, _leave_to_thread)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, name="interrupts", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        signal.signal(INTERRUPT_SIGNAL, self._handler)
        os.write(self._write, ENOUGH)  # closing alone would not end the thread: processes of the loader hold this end, too
        self._thread.join()
        os.close(self._write)
        os.close(self._read)

    def _listen(self) -> None:
        while (number := os.read(self._read, 1)) != ENOUGH:
            self._hear(number[0])

    def _hear(self, number: int) -> None:
        orders = self._orders
        again = orders is not None and orders.interrupted
        if number not in (INTERRUPT_SIGNAL, STOP_SIGNAL) or (number == STOP_SIGNAL and not again):
            return
        if orders is None or again or not self._can_save():
            self._end(again=again)
            return
        orders.interrupted = orders.stop = True
        get_logger().info("Ctrl-C: saving after this update, then stopping. Once more ends the run at once, without saving.")

    def _end(self, *, again: bool) -> None:
        self.on_end(again)
        for child in multiprocessing.active_children():
            child.kill()
        if sys.stderr.isatty():
            sys.stderr.write(f"{SHOW_CURSOR}\n")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ENDED_AT_ONCE)


def _leave_to_thread(_number: int, _frame: FrameType | None) -> None:
    """Does nothing in the main thread, in particular raises no KeyboardInterrupt in the middle of an update or a save."""
