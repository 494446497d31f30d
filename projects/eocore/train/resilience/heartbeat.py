"""What this process is doing in its training, and since when; told by the loop, read by the watchdog."""

import time
from collections.abc import Callable


class Heartbeat:
    """The last sign of life.

    Attributes:
        step: update being made, from 1.
        phase: what is being done.
        since: when it began, as time.monotonic() gives it [s].
    """

    def __init__(self) -> None:
        self.step, self.phase, self.since = 0, "start", time.monotonic()
        self._detail: Callable[[], str] | None = None

    def mark(self, phase: str, *, step: int | None = None, detail: Callable[[], str] | None = None) -> None:
        """Something new is being done.

        Args:
            phase: what, for messages.
            step: update it belongs to; None: as before.
            detail: gives more on demand (which samples are awaited).
        """
        self.phase, self.since, self._detail = phase, time.monotonic(), detail
        if step is not None:
            self.step = step

    def seconds(self) -> float:
        """Time since the last sign [s]."""
        return time.monotonic() - self.since

    def describe(self) -> str:
        """Step, phase, its details and how long it lasts, in one line."""
        detail = "" if self._detail is None else f" ({self._detail()})"
        return f"step {self.step}, {self.phase}{detail}, for {self.seconds():.0f} s"


HEARTBEAT = Heartbeat()
"""Of this process: a process trains one model at a time."""
