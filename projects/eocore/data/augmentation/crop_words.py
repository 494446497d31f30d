"""Whether what is said of masks and regions stays true in a crop."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eocore.data.augmentation.coordinates import Point, find_coordinates, move_coordinates, without_coordinates
from eocore.data.augmentation.direction_words import find_directions
from eocore.data.augmentation.unsafe_words import UnsafeWordsError, Vector, check_crop_words, find_order
from eocore.data.records import Record
from eocore.portable.messages import Region, Seg, Text, Turn

OFF_CENTRE = 0.1
"""Distance of a mask's centroid from the image centre [image sides] from which on it lies in a direction."""
ON_THAT_SIDE = 0.8
"""Fraction of its pixels [1] that must lie on that side of the centre."""
_REGION_NAME = re.compile(r"\bregion ?(\d+)\b")
_LARGEST = frozenset({"largest", "biggest", "longest", "widest", "tallest", "only", "single", "sole", "all", "every", "each"})
"""Words that stay true of a mask that is whole in the crop: others can only become smaller or vanish."""


@dataclass(frozen=True)
class Statement:
    """What is said of one mask, or of several, or of the whole image where there is none.

    Attributes:
        text: what is said.
        masks: numbers of the masks among those of `masks_of`.
    """

    text: str
    masks: tuple[int, ...]


def statements_of(record: Record) -> list[Statement]:
    """What a record says, question and answer together; masks are numbered as regions, masks of turns, then those of expressions."""
    first = len(record.regions)
    found = [
        _statement(question, answer, first=first, num_regions=len(record.regions))
        for question, answer in zip(record.turns[::2], record.turns[1::2], strict=False)
    ]
    number = first + len(record.masks)
    for expression in record.expressions:
        if expression.mask is not None:
            found.append(Statement(expression.text, (number,)))
            number += 1
    return found + [Statement(text, ()) for text in (*record.captions, *record.labels)]


def _statement(question: Turn, answer: Turn, *, first: int, num_regions: int) -> Statement:
    parts = (*question.parts, *answer.parts)
    text = " ".join(part.text for part in parts if isinstance(part, Text))
    named = {int(number) - 1 for number in _REGION_NAME.findall(text)} & set(range(num_regions))
    shown = {part.index for part in parts if isinstance(part, Region)}
    asked = (named & shown if len(shown) == 1 else named) or shown
    drawn = [first + part.index for part in parts if isinstance(part, Seg)]
    return Statement(_REGION_NAME.sub("region", text), tuple(sorted(asked)) + tuple(drawn))


@dataclass(frozen=True)
class Cut:
    """A crop as the first image sees it.

    Attributes:
        window: (row, col, height, width) [px].
        size: (height, width) of the image before [px].
        masks: (H, W) bool before, in the order of `Statement.masks`.
        least_visible: fraction of a mask's pixels [1] that must lie inside.
    """

    window: tuple[int, int, int, int]
    size: tuple[int, int]
    masks: Sequence[np.ndarray]
    least_visible: float

    def visible(self, number: int) -> float:
        """Fraction of a mask's pixels inside [1]."""
        return float(self.inside(number).sum() / max(self.masks[number].sum(), 1))

    def inside(self, number: int) -> np.ndarray:
        """(h, w) bool, the part of a mask inside."""
        row, col, height, width = self.window
        return self.masks[number][row : row + height, col : col + width]

    def move(self, point: Point) -> Point:
        """Where a point lies in the crop."""
        row, col, height, width = self.window
        return (point[0] * self.size[1] - col) / width, (point[1] * self.size[0] - row) / height

    def points_to(self, number: int, direction: Vector) -> bool:
        """Whether a mask lies in a direction of the crop, and other objects that did not before still do not."""
        inside, (row, col, height, width) = self.inside(number), self.window
        rows, cols = np.nonzero(inside)
        if not rows.size:
            return False
        for along, places, side, start, before in (
            (direction[0], rows, height, row, self.size[0]),
            (direction[1], cols, width, col, self.size[1]),
        ):
            if along == 0:
                continue
            offsets = along * ((places + 0.5) / side - 0.5)
            has_moved_away = along * ((start + side / 2) / before - 0.5) < 0
            if has_moved_away or offsets.mean() < OFF_CENTRE or (offsets > 0).mean() < ON_THAT_SIDE:
                return False
        return True


def check_statement(statement: Statement, cut: Cut) -> None:
    """Raise UnsafeWordsError if a crop makes a statement wrong, or may."""
    text = statement.text
    check_crop_words(text)
    if not statement.masks:
        raise UnsafeWordsError(f"'{text.strip()[:40]}' is said of the whole image")
    for number in statement.masks:
        if cut.masks[number].any() and cut.visible(number) < cut.least_visible:
            raise UnsafeWordsError(f"too little would be left of what '{text.strip()[:40]}' points at")
    order = find_order(without_coordinates(text))
    if order and (order.lower() not in _LARGEST or any(cut.visible(number) < 1 for number in statement.masks)):
        raise UnsafeWordsError(f"'{order}' may be true of the whole image alone")
    for direction in find_directions(text, others="where"):
        if len(statement.masks) != 1 or direction.vector == (0, 0) or not cut.points_to(statement.masks[0], direction.vector):
            raise UnsafeWordsError(f"'{direction.word}' would not be true of the crop")


def crop_words(text: str, cut: Cut, *, scale: tuple[float, float] | None) -> str:
    """A text with its coordinates moved into the crop. Raises UnsafeWordsError where they leave it."""
    return move_coordinates(text, cut.move, scale=scale) if scale is not None and find_coordinates(text) else text
