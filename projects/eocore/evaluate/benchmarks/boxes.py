"""Boxes as annotation files write them, on a scale of 0 to 100 whatever the file's own."""

import re
from collections.abc import Sequence
from typing import Any

from eocore.data.formats.entries import shorten
from eocore.errors import AnnotationError
from eocore.evaluate.metrics.boxes import Box
from eocore.evaluate.scoring.parsing import boxes

SCALE = 100
"""What stands for the whole side of the image. Source: GeoChat and VRSBench write whole per cents."""

_GROUP = re.compile(r"\{[^{}]*\d[^{}]*\}|\[[^\[\]]*\d[^\[\]]*\]")


def read_boxes(value: Any, source: str) -> list[list[float]]:
    """All boxes in a text or nested list, each of 4 (x0, y0, x1, y1), 5 (with an angle [degrees]) or 8 numbers (four corners).

    Args:
        value: "{<10><20><30><40>}", "{<10><20><30><40>|<90>}", "[[10, 20, 30, 40, 90]]", or lists; several boxes may stand in one.
        source: "file:line" or "file#entry", for messages.

    Raises:
        AnnotationError: no box, or one of another number of values.
    """
    found = [list(box) for box in boxes.read_boxes(value).numbers] if isinstance(value, str) else boxes.boxes_of_value(value)
    if not found or len(found) < _num_groups(value):
        raise AnnotationError(
            f"{source}: {shorten(value)} is no box: expected 4 numbers, 5 with an angle, or 8 of four corners. Correct the entry."
        )
    return found


def _num_groups(value: Any) -> int:
    """How many boxes a text or list seems to hold: its innermost groups of numbers, four pairs being one."""
    if isinstance(value, str):
        return len(_GROUP.findall(value))
    if not isinstance(value, list | tuple) or not value:
        return 0
    if not any(isinstance(item, list | tuple) for item in value):
        return 1
    return 1 if boxes.is_one_box(value) else sum(map(_num_groups, value))


def corners(box: Sequence[float]) -> list[float]:
    """x, y of the four corners of a box of 4, 5 or 8 numbers."""
    return list(box) if len(box) == 8 else Box.of(box).corners().flatten().tolist()
