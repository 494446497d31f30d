"""Where the time of a training step goes: vision, language, masks, backward, update."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from earthmind.task import EarthMindTask
from eocore.benchmark.timing import wait_for_device

PARTS = ("data", "vision", "language", "masks", "backward", "update")


class PartTimes:
    """Seconds by part, summed over steps."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Adds the time within it to `name`."""
        wait_for_device()
        start = time.perf_counter()
        yield
        wait_for_device()
        self.seconds[name] += time.perf_counter() - start

    @contextmanager
    def within(self, task: EarthMindTask) -> Iterator[None]:
        """Within it, calls of the task tell vision and masks apart; the rest of a forward is language."""
        with ExitStack() as stack:
            for owner, name, part in ((task.model, "look", "vision"), (task, "_mask_losses", "masks")):
                stack.enter_context(mock.patch.object(owner, name, self._timed(getattr(owner, name), part)))
            yield

    @contextmanager
    def forward(self) -> Iterator[None]:
        """A whole forward: what is neither vision nor masks is added to language."""
        known = self.seconds["vision"] + self.seconds["masks"]
        with self.part("language"):
            yield
        self.seconds["language"] -= self.seconds["vision"] + self.seconds["masks"] - known

    def _timed(self, work: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            with self.part(part):
                return work(*arguments, **named)

        return timed
