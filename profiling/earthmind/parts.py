"""Where the time of a training step goes: vision, language, masks, backward, update."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from earthmind import losses
from earthmind.model.seg_attention import SegAttention
from earthmind.task import EarthMindTask
from eocore.replaced import replaced
from profiling.measures.timing import wait_for_device

PARTS = ("data", "vision", "language", "masks", "backward", "update")


class PartTimes:
    """Seconds by part, summed over steps."""

    def __init__(self, parts: Sequence[str] = PARTS) -> None:
        self.seconds = dict.fromkeys(parts, 0.0)

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
            timed: tuple[tuple[Any, str, str], ...] = (
                (task.model, "encode_images", "vision"),
                (task.model, "_predict_masks", "masks"),
                (SegAttention, "rows", "masks"),
                (losses, "_segment_losses", "masks"),
            )
            for owner, name, part in timed:
                stack.enter_context(replaced(owner, name, value=self.timed(getattr(owner, name), part)))
            yield

    @contextmanager
    def rest(self, name: str) -> Iterator[None]:
        """Adds to `name` what of the time within it goes to no other part."""
        known = self._others(name)
        with self.part(name):
            yield
        self.seconds[name] -= self._others(name) - known

    def _others(self, name: str) -> float:
        return sum(seconds for part, seconds in self.seconds.items() if part != name)

    def timed(self, work: Callable[..., Any], part: str) -> Callable[..., Any]:
        """`work`, whose time is added to `part`."""

        def timed(*arguments: Any, **named: Any) -> Any:
            with self.part(part):
                return work(*arguments, **named)

        return timed
