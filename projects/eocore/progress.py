"""Progress of any long work: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from transformers.utils.logging import disable_progress_bar

from eocore.log import get_logger

LINE_INTERVAL_S = 10.0


def keep_bars_out_of_logs() -> None:
    """Switches the progress bars of transformers off where stderr is no terminal: a log shows each of their states, on one line."""
    if not sys.stderr.isatty():
        disable_progress_bar()


class Progress:
    """Counts work done, with rate and time left.

    Args:
        what: being done, for the line.
        total: pieces of work.
        unit: name of a piece, in the plural.
        visible: False on the ranks that should be silent.
    """

    def __init__(self, what: str, total: int, *, unit: str = "items", visible: bool = True) -> None:
        self.what, self.total, self.unit, self.visible = what, total, unit, visible
        self.done = 0
        self._start = self._shown = time.monotonic()
        self._bar = self._make_bar() if visible and sys.stderr.isatty() else None

    def _make_bar(self) -> Bar:
        rate = TextColumn("{task.fields[rate]}")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
        bar = Bar(*columns, console=Console(stderr=True))
        bar.add_task(self.what, total=self.total, rate="")
        return bar

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int = 1) -> None:
        """`count` more pieces are done."""
        self.done += count
        now = time.monotonic()
        rate = self.done / max(now - self._start, 1e-9)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self.done, rate=f"{rate:.1f} {self.unit}/s")
        elif self.visible and (now - self._shown > LINE_INTERVAL_S or self.done == self.total):
            self._shown = now
            left_s = (self.total - self.done) / max(rate, 1e-9)
            get_logger().info("%s %d/%d  %.1f %s/s  %.0f s left", self.what, self.done, self.total, rate, self.unit, left_s)
