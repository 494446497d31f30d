"""Times of several ways to do the same, taken in turn so that whatever else the machine does burdens all alike."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


def wait_for_device() -> None:
    """Returns when a GPU, if there is one in use, has done all it was asked to."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def time_once(work: Callable[[], object]) -> float:
    """Seconds that one call takes, on the device too."""
    wait_for_device()
    start = time.perf_counter()
    work()
    wait_for_device()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Times:
    """Seconds of each repeat of one piece of work."""

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        """The smallest: what the work takes when nothing else disturbs it."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The middle one."""
        return sorted(self.seconds)[len(self.seconds) // 2]


def time_in_turn(works: Mapping[str, Callable[[], object]], *, repeats: int = 5, warm_up: int = 1) -> dict[str, Times]:
    """Times of each piece of work, by name; one repeat of all, then the next.

    Args:
        works: name -> what is done.
        repeats: timed calls of each.
        warm_up: calls of each before, not timed.
    """
    for _ in range(warm_up):
        for work in works.values():
            work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            gc.collect()
            seconds[name].append(time_once(work))
    return {name: Times(tuple(values)) for name, values in seconds.items()}
