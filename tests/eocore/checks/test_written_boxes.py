"""Boxes that texts give in numbers, as shapes on the pixels of an image."""

import pytest

from eocore.checks.written_boxes import box_shape, describe_scale, written_boxes
from eocore.data.records import Record
from eocore.evaluate.metrics.boxes import Box
from eocore.evaluate.scoring.parsing.reading_options import PIXELS
from eocore.portable.messages import read_turns


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("It is at [10, 20, 30, 40].", 1),
        ("{<10><20><30><40>|<0>}", 1),
        ('[{"bbox_2d": [1, 2, 3, 4]}, {"bbox_2d": [5, 6, 7, 8]}]', 2),
        ("<box>10 20 30 40</box>", 1),
        ("10, 20, 30, 40", 0),
        ("[40, 20, 10, 30]", 0),
        ("2 fields, 3 lakes (in the north)", 0),
    ],
)
def test_boxes_of_turns(text: str, count: int) -> None:
    record = Record("a", (), read_turns(["Where?", text]))
    assert [len(boxes) for _, boxes in written_boxes(record)] == [count] * bool(count)


def test_shapes_lie_inside_the_image() -> None:
    shape = box_shape(Box(50, 50, 120, 100), (20, 40), scale=100)
    assert shape is not None and sorted(set(shape.data[0])) == [10, 20, 40]
    turned = box_shape(Box.of([10, 10, 30, 20, 90]), (40, 40), scale=PIXELS)
    assert turned is not None and min(turned.data[0]) == pytest.approx(5) and max(turned.data[0]) == pytest.approx(25)
    assert box_shape(Box(110, 10, 120, 20), (20, 40), scale=100) is None
    assert describe_scale(PIXELS, [Box(0, 0, 1, 1)]) == "1 box, read in pixels (told by the range of all in the data set)"
