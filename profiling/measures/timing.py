"""Times of several ways to do the same, taken in turn so that whatever else the machine does burdens all alike."""

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch

SHORTEST_S = 0.02
"""Work that takes less is called as often as fits in here: what a single short call takes depends on what ran before it."""


def wait_for_device() -> None:
    """Returns when a GPU, if there is one in use, has done all it was asked to."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def time_once(work: Callable[[], object], *, of_processor: bool = False) -> float:
    """Seconds that one call takes, on the device too; of the processor: what all threads of this process computed meanwhile."""
    clock = time.process_time if of_processor else time.perf_counter
    wait_for_device()
    start = clock()
    work()
    wait_for_device()
    return clock() - start


@dataclass(frozen=True)
class Times:
    """Seconds of a call of one piece of work, in each repeat."""

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        """The smallest: what the work takes when nothing else disturbs it."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The middle one."""
        return sorted(self.seconds)[len(self.seconds) // 2]


def time_in_turn(
    works: Mapping[str, Callable[[], object]], *, repeats: int = 5, warm_up: int = 1, of_processor: bool = False
) -> dict[str, Times]:
    """Times of each piece of work, by name; one repeat of all, then the next.

    Args:
        works: name -> what is done.
        repeats: timings of each.
        warm_up: calls of each before; the last tells how many calls a timing takes. Without, it is one.
        of_processor: count the seconds that this process computed, whatever else the machine did meanwhile.
    """
    calls = dict.fromkeys(works, 1)
    for _ in range(warm_up):
        for name, work in works.items():
            calls[name] = max(1, math.floor(SHORTEST_S / time_once(work, of_processor=of_processor)))
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            gc.collect()
            seconds[name].append(time_once(partial(_call, work, calls[name]), of_processor=of_processor) / calls[name])
    return {name: Times(tuple(values)) for name, values in seconds.items()}


def _call(work: Callable[[], object], times: int) -> None:
    for _ in range(times):
        work()
