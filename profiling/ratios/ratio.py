"""Two ways to the same result, measured beside each other: what is wasted against what is needed.

A ratio is a class registered in `eocore.registry.RATIOS` under its id, in a module of `profiling/<system>/ratios/`, one file a topic;
`tools/benchmark.py ratios` finds it there.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

from torch import Tensor

from eocore.errors import EOError
from eocore.registry import RATIOS
from profiling.measures.isolation import measure_sides
from profiling.measures.memory import GIB
from profiling.measures.operators import count_operators
from profiling.measures.timing import time_in_turn

Side = Literal["reference", "ours"]
SIDES: tuple[Side, Side] = ("reference", "ours")
Result = Tensor | float | Sequence[Tensor | float]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a ratio of one quantity should reach.

    Attributes:
        quantity: "time", "memory" or "operators", or one that the ratio measures itself.
        goal: reference / ours should be at least this; None where it is only told.
        limit: the highest it can be, and why, in words.
    """

    quantity: str
    goal: float | None
    limit: str = ""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One quantity of a ratio, measured.

    Attributes:
        quantity, goal, limit: see `Goal`.
        unit: of the two figures.
        reference, ours: the figures of the two sides.
        reached: what is compared with the goal, usually reference / ours.
        at_least: True where more is better, False where `reached` should stay below the goal.
        note: what else there is to say, such as how far the two results differ.
    """

    quantity: str
    unit: str
    reference: float
    ours: float
    reached: float
    goal: float | None
    limit: str = ""
    at_least: bool = True
    note: str = ""

    @property
    def met(self) -> bool | None:
        """True where the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return self.reached >= self.goal if self.at_least else self.reached <= self.goal


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How carefully is measured.

    Attributes:
        repeats: timings of each side.
        warm_up: calls of each side before them.
        of_processor: time is what the process computed, for machines that do other work meanwhile; of ratios of two functions alone.
    """

    repeats: int = 5
    warm_up: int = 1
    of_processor: bool = False


class Ratio(ABC):
    """One ratio. A subclass states `what` is compared and measures it; constructor arguments are sizes, the published ones by default."""

    what: ClassVar[str]
    config: Mapping[str, Any]
    """What it was built from, so that a process of its own can build it again; set by `build_ratio`."""
    system: str

    @abstractmethod
    def measure(self, effort: Effort) -> list[Reading]:
        """Both sides, measured."""


class Pair(Ratio):
    """A ratio of two functions that give the same result: `time` and `operators` in this process, `memory` in one process a side.

    Attributes:
        goals: what is measured.
        tolerance: largest difference of the results, relative to the largest absolute value of the reference's.
    """

    goals: ClassVar[tuple[Goal, ...]]
    tolerance: ClassVar[float] = 1e-5

    @abstractmethod
    def prepare(self, side: Side) -> Callable[[], Result]:
        """What that side does, once everything that is not measured (weights, inputs) is there. Both sides give the same result."""

    def measure(self, effort: Effort) -> list[Reading]:
        """The quantities of `goals`.

        Raises:
            EOError: the two sides give different results.
        """
        works = {side: self.prepare(side) for side in SIDES}
        apart = difference(works["reference"](), works["ours"]())
        if apart > self.tolerance:
            raise EOError(
                f"{type(self).__name__}: the two sides differ by {apart:.1e} of the largest value, {self.tolerance:.0e} is allowed; they "
                "do not do the same, so their ratio means nothing."
            )
        note = f"results equal to {apart:.0e}"
        readings = []
        for goal in self.goals:
            unit, reference, ours = self._figures(goal.quantity, works, effort=effort)
            readings.append(compare(goal, unit, reference=reference, ours=ours, note=note))
        return readings

    def _figures(self, quantity: str, works: Mapping[Side, Callable[[], Result]], *, effort: Effort) -> tuple[str, float, float]:
        """Unit, reference, ours."""
        if quantity == "time":
            given = cast("Mapping[str, Callable[[], Result]]", works)
            times = time_in_turn(given, repeats=effort.repeats, warm_up=effort.warm_up, of_processor=effort.of_processor)
            return "s", times["reference"].best, times["ours"].best
        if quantity == "memory":
            peaks = measure_sides(self.system, self.config)
            return "GiB", peaks["reference"].rise / GIB, peaks["ours"].rise / GIB
        if quantity == "operators":
            return "operators", *(float(count_operators(works[side]).total) for side in SIDES)  # type: ignore[return-value]
        raise EOError(f"{type(self).__name__}: nothing measures '{quantity}'; goals of a Pair are time, memory and operators.")


def compare(goal: Goal, unit: str, *, reference: float, ours: float, note: str = "") -> Reading:
    """The reading of two figures of which the smaller is better."""
    reached = reference / ours if ours else float("inf")
    return Reading(
        quantity=goal.quantity,
        unit=unit,
        reference=reference,
        ours=ours,
        reached=reached,
        goal=goal.goal,
        limit=goal.limit,
        note=note,
    )


def difference(reference: Result, ours: Result) -> float:
    """Largest absolute difference, relative to the largest absolute value of each tensor of `reference`."""
    pairs = zip(_parts(reference), _parts(ours), strict=True)
    return max(float((first - second).abs().max() / first.abs().max().clamp(min=1e-30)) for first, second in pairs)


def _parts(result: Result) -> list[Tensor]:
    parts = [result] if isinstance(result, Tensor | float) else list(result)
    return [(part if isinstance(part, Tensor) else Tensor([part])).detach().double() for part in parts]


def load_ratios(system: str) -> list[str]:
    """Ids of all ratios of a system, in the order of their numbers; its modules are imported."""
    package = importlib.import_module(f"profiling.{system}.ratios")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    own = [name for name, found in RATIOS.module_dict.items() if found.__module__.startswith(f"{package.__name__}.")]
    return sorted(own, key=lambda name: (name.rstrip("0123456789"), int("0" + name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))))


def build_ratio(system: str, config: Mapping[str, Any]) -> Ratio:
    """The ratio that `config` (`type` and sizes) describes."""
    ratio: Ratio = RATIOS.build(dict(config))
    ratio.config, ratio.system = dict(config), system
    return ratio
