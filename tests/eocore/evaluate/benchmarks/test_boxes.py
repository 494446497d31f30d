"""Boxes as files write them."""

import pytest

from eocore.errors import AnnotationError
from eocore.evaluate.benchmarks.boxes import corners, read_boxes
from eocore.evaluate.metrics.boxes import Box, box_iou, box_text
from eocore.evaluate.scoring.parsing.boxes import parse_boxes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{<10><20><30><40>}", [[10, 20, 30, 40]]),
        ("Where? {<10><20><30><40>|<90>}", [[10, 20, 30, 40, 90]]),
        ("[[1, 2, 3, 4, 5], [6, 7, 8, 9, 0]]", [[1, 2, 3, 4, 5], [6, 7, 8, 9, 0]]),
        ([1, 2, 3, 4], [[1, 2, 3, 4]]),
        ([[1, 2, 3, 4], [5, 6, 7, 8]], [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ([[[1, 2], [3, 2], [3, 4], [1, 4]]], [[1, 2, 3, 2, 3, 4, 1, 4]]),
        ("10, 20, 30, 40", [[10, 20, 30, 40]]),
    ],
)
def test_forms(value: object, expected: list) -> None:
    assert read_boxes(value, "here") == expected


@pytest.mark.parametrize("value", ["no box", "{<1><2><3>}", [], [1, 2, 3], [[1, 2, 3], [3, 4]], None, [[float("nan"), 1, 2, 3]]])
def test_what_is_no_box_is_refused(value: object) -> None:
    with pytest.raises(AnnotationError, match=r"^here: .* is no box"):
        read_boxes(value, "here")


def test_corners_of_every_form() -> None:
    assert corners([10, 20, 40, 30]) == [10, 20, 40, 20, 40, 30, 10, 30]
    assert corners([10, 20, 30, 40, 90]) == pytest.approx([30, 20, 30, 40, 10, 40, 10, 20])
    assert corners([1, 2, 3, 4, 5, 6, 7, 8]) == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("box", [[10, 20, 30, 40], [10, 20, 30, 40, 90]])
def test_a_written_box_is_read_as_itself_by_the_metric(box: list) -> None:
    assert box_iou(parse_boxes(box_text(box))[0], Box(*box)) == pytest.approx(1)
