"""A class map as questions are asked about it: how its classes are spoken of, which objects it holds, what may be asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from eocore.errors import DataError

CLEAR_LEAD = 1.3
"""How many times larger an area must be to be called larger."""
UNKNOWN_LIMIT = 0.005
"""Fraction of the image without a known class above which nothing is said to be absent."""


@dataclass(frozen=True)
class LandClass:
    """How a class is spoken of.

    Attributes:
        name: as answer and in "the {name}", e.g. "water"; singular.
        noun: one object of it, e.g. "lake"; empty where single objects mean nothing.
        plural: several of them, e.g. "lakes".
    """

    name: str
    noun: str = ""
    plural: str = ""


@dataclass(frozen=True)
class QuestionOptions:
    """What is asked for.

    Attributes:
        min_area: smallest fraction of the image a class or object must cover to be asked for.
        max_area: largest fraction a phrase may point at (1 = all).
        object_share: fraction of the phrases that name a single object ("the lake in the north") and not a class ("the water").
        min_visible: under clouds, smallest fraction of a phrase's pixels that must lie clear.
        min_hidden: under clouds, smallest fraction of a phrase's pixels that must lie covered.
        questions: most open questions per scene.
        choices: most multiple-choice questions per scene.
    """

    min_area: float = 0.015
    max_area: float = 0.6
    object_share: float = 0.25
    min_visible: float = 0.2
    min_hidden: float = 0.35
    questions: int = 4
    choices: int = 4


@dataclass(frozen=True)
class LandMap:
    """What the questions are asked about.

    Attributes:
        class_map: (H, W) integer; values without an entry in `classes` are unknown and never asked for.
        classes: how each class is spoken of.
        objects: (H, W) integer, number of the object each pixel belongs to, 0 = none. An object lies in one class.
        countable: classes of which every object is in `objects`, so that they can be counted.
        nouns: another noun than the class's own for single objects, by number.
        visible: (H, W) bool, the pixels the optical image shows; None = all.
    """

    class_map: np.ndarray
    classes: Mapping[int, LandClass]
    objects: np.ndarray
    countable: frozenset[int] = frozenset()
    nouns: Mapping[int, str] = field(default_factory=dict)
    visible: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, array in (("objects", self.objects), ("visible", self.visible)):
            if array is not None and array.shape != self.class_map.shape:
                raise DataError(f"a land map of {self.class_map.shape} px with `{name}` of {array.shape} px; give both on one grid.")

    @cached_property
    def areas(self) -> dict[int, float]:
        """Fraction of the image by class, largest first; only known classes that occur."""
        values, counts = np.unique(self.class_map, return_counts=True)
        found = {int(value): float(count) / self.class_map.size for value, count in zip(values, counts, strict=True)}
        return {value: found[value] for value in sorted(found, key=lambda value: (-found[value], value)) if value in self.classes}

    @cached_property
    def unknown(self) -> float:
        """Fraction of the image without a known class."""
        return 1 - sum(self.areas.values())

    @cached_property
    def majority(self) -> int | None:
        """The class that covers clearly more than every other could, whatever the unknown part holds; None without one."""
        areas = [*self.areas.items(), (0, 0.0)]
        leads = areas[0][1] > 0 and areas[0][1] >= CLEAR_LEAD * (areas[1][1] + max(self.unknown, 0.0))
        return areas[0][0] if leads else None

    def present(self, min_area: float) -> list[int]:
        """Classes that cover `min_area` or more, largest first."""
        return [class_id for class_id, area in self.areas.items() if area >= min_area]

    @cached_property
    def absent(self) -> list[int]:
        """Classes of which there is not one pixel; none where too much is unknown to tell."""
        return [class_id for class_id in self.classes if class_id not in self.areas] if self.unknown <= UNKNOWN_LIMIT else []

    def objects_of(self, class_id: int) -> list[int]:
        """Numbers of the objects of a class."""
        return [int(number) for number in np.unique(self.objects[self.class_map == class_id]) if number]

    def noun(self, number: int, class_id: int) -> str:
        """What one object is called, empty where the class has no word for it."""
        return self.nouns.get(number, self.classes[class_id].noun)
