"""Phrases that point at a class or an object of a land map, and the regions to be named the other way round."""

from dataclasses import dataclass

import numpy as np

from eocore.synthetic.land_map import CLEAR_LEAD, LandMap, QuestionOptions

DIRECTIONS = ("north", "south", "east", "west")
OFF_CENTRE = 0.17
"""Distance of a centroid from the image centre [image sides] from which on it lies in a direction..."""
CLEAR_DIRECTION = 1.7
"""...if it lies that many times further off along one axis than along the other..."""
MOSTLY = 0.8
"""...and this fraction of the pixels lies on that side of the centre."""
NEAR_CENTRE = 0.05
"""A centroid further off to a side than this [image sides] might be meant by that direction, too."""


@dataclass(frozen=True)
class Phrase:
    """A phrase and the (H, W) bool mask it points at; `kind` is "class" or "object"."""

    text: str
    mask: np.ndarray
    kind: str
    class_id: int

    @property
    def place(self) -> str:
        """The direction in which the mask lies, as far as it is clear and the phrase does not tell it."""
        direction = direction_of(self.mask) or ""
        return "" if direction in self.text.split() else direction


@dataclass(frozen=True)
class Region:
    """An (H, W) bool mask and what it shows."""

    mask: np.ndarray
    description: str


def find_phrases(land: LandMap, rng: np.random.Generator, *, options: QuestionOptions) -> list[Phrase]:
    """A phrase for every class that can be pointed at, and as many for single objects as their fraction asks for and there are."""
    of_classes = [Phrase(land.classes[number].name, land.class_map == number, "class", number) for number in land.areas]
    of_classes = [phrase for phrase in of_classes if can_point(phrase.mask, land, options=options)]
    of_objects = [phrase for number in land.areas for phrase in _object_phrases(land, number)]
    of_objects = [phrase for phrase in of_objects if can_point(phrase.mask, land, options=options)]
    if options.object_share >= 1:
        return of_objects
    wanted = len(of_classes) * options.object_share / (1 - options.object_share)
    number = min(int(wanted + rng.random()), len(of_objects))
    return of_classes + [of_objects[index] for index in rng.permutation(len(of_objects))[:number]]


def find_regions(land: LandMap, *, options: QuestionOptions) -> list[Region]:
    """Every object that can be pointed at, with the name of its class."""
    regions = []
    for class_id in land.areas:
        for number in land.objects_of(class_id):
            mask = land.objects == number
            if can_point(mask, land, options=options):
                regions.append(Region(mask, land.classes[class_id].name))
    return regions


def can_point(mask: np.ndarray, land: LandMap, *, options: QuestionOptions) -> bool:
    """Whether a mask has a fit size and, under clouds, both a clear and a covered part."""
    if not options.min_area <= mask.mean() <= options.max_area:
        return False
    if land.visible is None:
        return True
    return bool(options.min_visible <= land.visible[mask].mean() <= 1 - options.min_hidden)


def direction_of(mask: np.ndarray) -> str | None:
    """The direction from the image centre in which a mask (H, W) lies, None where that is not clear."""
    down, right = _centroid(mask)
    main, other = max(abs(down), abs(right)), min(abs(down), abs(right))
    if main < OFF_CENTRE or main < CLEAR_DIRECTION * other:
        return None
    half_height, half_width = mask.shape[0] // 2, mask.shape[1] // 2
    if abs(down) > abs(right):
        name, side = ("south", mask[half_height:]) if down > 0 else ("north", mask[:half_height])
    else:
        name, side = ("east", mask[:, half_width:]) if right > 0 else ("west", mask[:, :half_width])
    return name if side.sum() >= MOSTLY * mask.sum() else None


def _centroid(mask: np.ndarray) -> tuple[float, float]:
    """(down, right) from the image centre [image sides]."""
    rows, columns = np.nonzero(mask)
    return float((rows.mean() + 0.5) / mask.shape[0] - 0.5), float((columns.mean() + 0.5) / mask.shape[1] - 0.5)


def _object_phrases(land: LandMap, class_id: int) -> list[Phrase]:
    """Phrases that fit exactly one object of a class: by direction, or by size among several."""
    masks = {number: land.objects == number for number in land.objects_of(class_id) if land.noun(number, class_id)}
    phrases = []
    for noun in sorted({land.noun(number, class_id) for number in masks}):
        alike = {number: mask for number, mask in masks.items() if land.noun(number, class_id) == noun}
        for mask in alike.values():
            direction = direction_of(mask)
            if direction and sum(_reaches(other, direction) for other in alike.values()) == 1:
                phrases.append(Phrase(f"{noun} in the {direction}", mask, "object", class_id))
        by_size = sorted(alike.values(), key=np.sum, reverse=True)
        if len(by_size) > 1 and by_size[0].sum() >= CLEAR_LEAD * by_size[1].sum():
            phrases.append(Phrase(f"largest {noun}", by_size[0], "object", class_id))
    return phrases


def _reaches(mask: np.ndarray, direction: str) -> bool:
    """Whether a mask lies on that side at all: then it might be meant, too."""
    down, right = _centroid(mask)
    return {"north": -down, "south": down, "east": right, "west": -right}[direction] > NEAR_CENTRE
