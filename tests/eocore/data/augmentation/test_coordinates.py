"""Numbers in texts move with the image, in the form they are written in."""

import pytest

from eocore.data.augmentation.coordinates import find_coordinates, move_coordinates, turn_point
from eocore.data.augmentation.unsafe_words import UnsafeWordsError
from eocore.sensors.orientation import Turn

SIDEWAYS, CLOCKWISE = Turn(reverse_cols=True), Turn(transpose=True, reverse_cols=True)


@pytest.mark.parametrize(
    ("text", "scale", "sideways", "clockwise"),
    [
        ("at [100, 200, 300, 400].", 1000, "at [700, 200, 900, 400].", "at [600, 100, 800, 300]."),
        ("[0.10, 0.25, 0.50, 0.75]", 1, "[0.50, 0.25, 0.90, 0.75]", "[0.25, 0.10, 0.75, 0.50]"),
        ("(10,20),(30,40)", 100, "(70,20),(90,40)", "(60,10),(80,30)"),
        ("<box>[[1, 2, 3, 4], [5, 6, 7, 8]]", 10, "<box>[[7, 2, 9, 4], [3, 6, 5, 8]]", "<box>[[6, 1, 8, 3], [2, 5, 4, 7]]"),
        ("{<10><020><30><40>|<30>}", 100, "{<70><020><90><40>|<150>}", "{<60><010><80><30>|<30>}"),
        ("a point (12, 30)", 100, "a point (88, 30)", "a point (70, 12)"),
        ("[0, 0, 10, 0, 10, 10, 0, 10]", 100, "[100, 0, 90, 0, 90, 10, 100, 10]", "[100, 0, 100, 10, 90, 10, 90, 0]"),
    ],
)  # fmt: skip
def test_boxes_points_and_polygons_move(text: str, scale: float, sideways: str, clockwise: str) -> None:
    moved = [move_coordinates(text, turn_point(turn), scale=(scale, scale), mirrored=turn is SIDEWAYS) for turn in (SIDEWAYS, CLOCKWISE)]
    assert moved == [sideways, clockwise]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[10, 20, 300, 40]", "lies beyond 0 to 100"),
        ("<loc_12><loc_13>", "of a form that is not known"),
        ("[1, 2, 3]", "has 3 numbers"),
        ("x1=3", "of a form that is not known"),
    ],
)
def test_numbers_of_another_form_stop_the_change(text: str, match: str) -> None:
    with pytest.raises(UnsafeWordsError, match=match):
        move_coordinates(text, turn_point(SIDEWAYS), scale=(100, 100))


def test_points_outside_of_a_crop_stop_it() -> None:
    def move(point: tuple[float, float]) -> tuple[float, float]:
        return point[0] * 2, point[1] * 2

    assert move_coordinates("[10, 20, 30, 40]", move, scale=(100, 100)) == "[20, 40, 60, 80]"
    with pytest.raises(UnsafeWordsError, match="leaves the image"):
        move_coordinates("[10, 20, 60, 40]", move, scale=(100, 100))


def test_texts_without_groups_of_numbers_hold_no_coordinates() -> None:
    assert [find_coordinates(text) for text in ("two lakes (3)", "12 buildings", "the lake (large)")] == ["", "", ""]
    assert find_coordinates("see [1, 2, 3, 4]") == "[1, 2, 3, 4]"
