"""What a run is told from outside while it trains: to save, or to save and stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from eocore.log import get_logger

SAVE_SIGNAL = signal.SIGUSR1
STOP_SIGNAL = signal.SIGTERM


class Orders:
    """Wishes of this rank, and what all ranks agreed on in the last update.

    A signal may reach one rank alone, and any rank at any moment; so ranks put their wishes together once per update and act alike.

    Attributes:
        save: this rank was told to save.
        stop: this rank was told to save and stop.
        save_agreed: some rank was, all save after this update.
        stop_agreed: some rank was, all save and stop after this update.
    """

    def __init__(self) -> None:
        self.save = self.stop = False
        self.save_agreed = self.stop_agreed = False

    def agree(self, *, save: bool, stop: bool) -> None:
        """Takes over what the ranks wished in this update."""
        self.save_agreed, self.stop_agreed = save, stop
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
