"""Boxes as annotation files write them, on a scale of 0 to 100 whatever the file's own."""

import math
import re
from collections.abc import Sequence
from typing import Any

from eocore.data.annotations import shorten
from eocore.errors import AnnotationError
from eocore.evaluate.metrics.boxes import Box

SCALE = 100
"""What stands for the whole side of the image. Source: GeoChat and VRSBench write whole per cents."""

_BRACED = re.compile(r"\{([^{}]*)\}|\[([^\[\]]*)\]")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def read_boxes(value: Any, source: str) -> list[list[float]]:
    """All boxes in a text or nested list, each of 4 (x0, y0, x1, y1), 5 (with an angle [degrees]) or 8 numbers (four corners).

    Args:
        value: "{<10><20><30><40>}", "{<10><20><30><40>|<90>}", "[[10, 20, 30, 40, 90]]", or lists; several boxes may stand in one.
        source: "file:line" or "file#entry", for messages.

    Raises:
        AnnotationError: no box, or one of another number of values.
    """
    boxes = _of_text(value) if isinstance(value, str) else _of_list(value)
    if not boxes or any(len(box) not in (4, 5, 8) or not all(map(math.isfinite, box)) for box in boxes):
        raise AnnotationError(
            f"{source}: {shorten(value)} is no box: expected 4 numbers, 5 with an angle, or 8 of four corners. Correct the entry."
        )
    return boxes


def _of_text(text: str) -> list[list[float]]:
    groups = [[float(number) for number in _NUMBER.findall(braced or bracketed)] for braced, bracketed in _BRACED.findall(text)]
    found = [group for group in groups if group]
    return found or ([[float(number) for number in _NUMBER.findall(text)]] if _NUMBER.search(text) else [])


def _of_list(value: Any) -> list[list[float]]:
    if not isinstance(value, list | tuple) or not value:
        return []
    if all(_is_number(item) for item in value):
        return [[float(item) for item in value]]
    if all(isinstance(item, list | tuple) and len(item) == 2 and all(map(_is_number, item)) for item in value):
        return [[float(number) for item in value for number in item]]
    return [box for item in value for box in _of_list(item)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def corners(box: Sequence[float]) -> list[float]:
    """x, y of the four corners of a box of 4, 5 or 8 numbers."""
    return list(box) if len(box) == 8 else Box.of(box).corners().flatten().tolist()
