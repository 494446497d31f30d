"""Directions change with the image; whatever may mean something else stops the change."""

import re

import pytest

from eocore.data.augmentation.direction_words import Direction, find_directions, turn_words
from eocore.data.augmentation.unsafe_words import UnsafeWordsError
from eocore.sensors.orientation import Turn

SIDEWAYS, OVER, AROUND = Turn(reverse_cols=True), Turn(reverse_rows=True), Turn(reverse_rows=True, reverse_cols=True)
CLOCKWISE, COUNTER = Turn(transpose=True, reverse_cols=True), Turn(transpose=True, reverse_rows=True)
WHERE = "Where is it?"


@pytest.mark.parametrize(
    ("text", "sideways", "over", "clockwise"),
    [
        ("lake in the north", "lake in the north", "lake in the south", "lake in the east"),
        ("the western shore", "the eastern shore", "the western shore", "the northern shore"),
        ("North-Eastern corner", "North-Western corner", "South-Eastern corner", "South-Eastern corner"),
        ("southwest", "southeast", "northwest", "northwest"),
        ("NORTHWEST", "NORTHEAST", "SOUTHWEST", "NORTHEAST"),
        ("the SW corner", "the SE corner", "the NW corner", "the NW corner"),
        ("from north to south", "from north to south", "from south to north", "from east to west"),
        ("a north-south road", "a north-south road", "a south-north road", "a east-west road"),
        ("westward", "eastward", "westward", "northward"),
        ("the northernmost field", "the northernmost field", "the southernmost field", "the easternmost field"),
        ("north\nsouth\neast\nwest", "north\nsouth\nwest\neast", "south\nnorth\neast\nwest", "east\nwest\nsouth\nnorth"),
        ("North of the lake lies grass.", "North of the lake lies grass.", "South of the lake lies grass.", "East of the lake lies grass."),
        ("upper-left", "upper-right", "lower-left", "upper-right"),
        ("Top Right", "Top Left", "Bottom Right", "Bottom Right"),
        ("the left bottom corner", "the right bottom corner", "the left top corner", "the left top corner"),
        ("It is on the left.", "It is on the right.", "It is on the left.", "It is at the top."),
        ("at the top of the image", "at the top of the image", "at the bottom of the image", "on the right of the image"),
        ("the left-hand side", "the right-hand side", "the left-hand side", "the top side"),
        ("the upper half", "the upper half", "the lower half", "the right half"),
        ("leftmost", "rightmost", "leftmost", "topmost"),
        ("A. left B. right C. top", "A. right B. left C. top", "A. left B. right C. bottom", "A. top B. bottom C. right"),
        ("right", "left", "right", "bottom"),
        ("a horizontal road", "a horizontal road", "a horizontal road", "a vertical road"),
    ],
)  # fmt: skip
def test_directions_change_and_capitals_stay(text: str, sideways: str, over: str, clockwise: str) -> None:
    assert [turn_words(text, turn, others=WHERE) for turn in (SIDEWAYS, OVER, CLOCKWISE)] == [sideways, over, clockwise]


@pytest.mark.parametrize(
    "text", ["lake in the north-east", "It is on the left.", "upper left", "West\nEast", "the bottom edge", "the SE corner"]
)
def test_a_turn_and_its_inverse_give_the_text_back(text: str) -> None:
    for turn, inverse in ((SIDEWAYS, SIDEWAYS), (OVER, OVER), (AROUND, AROUND), (CLOCKWISE, COUNTER), (COUNTER, CLOCKWISE)):
        assert turn_words(turn_words(text, turn, others=WHERE), inverse, others=WHERE) == text


def test_relations_to_other_objects_change_in_flips_and_stop_quarter_turns() -> None:
    assert turn_words("to the left of the lake", SIDEWAYS) == "to the right of the lake"
    assert turn_words("it lies right of the road", OVER) == "it lies right of the road"
    with pytest.raises(UnsafeWordsError, match="no counterpart in a quarter turn"):
        turn_words("to the left of the lake", CLOCKWISE)


@pytest.mark.parametrize(
    "text",
    [
        "Which is right?", "All right.", "the right answer", "in the right place", "the forest that is left", "What is left of the forest?",
        "it left the road", "the right bank", "North Korea", "in northern Germany", "West Street", "the west street", "Middle East",
        "Westminster", "Key West", "the city of East London", "48 N", "NNE of it", "the lower density", "at the top of the hill",
        "in the northern hemisphere", "at 45 degrees", "in the second row", "the word written on the roof", "links oben", "\u5317",
    ],
)  # fmt: skip
@pytest.mark.parametrize("turn", [SIDEWAYS, CLOCKWISE])
def test_words_that_may_mean_something_else_stop_the_change(text: str, turn: Turn) -> None:
    with pytest.raises(UnsafeWordsError, match=r"'.+' (may|is|counts)"):
        turn_words(text, turn, others="What is it?")


@pytest.mark.parametrize(
    "text", ["the built-up area", "seen from above", "at least two beasts", "a feast of up to three", "made up of grass"]
)
def test_words_that_only_look_alike_change_nothing(text: str) -> None:
    assert turn_words(text, CLOCKWISE) == text and find_directions(text) == []


def test_a_lone_right_is_a_side_only_where_a_side_is_asked_for() -> None:
    assert turn_words("right", SIDEWAYS, others="On which side is the lake?") == "left"
    with pytest.raises(UnsafeWordsError, match=re.escape("'right' may mean something else than a side of the image")):
        turn_words("right", SIDEWAYS, others="Is the lake larger than the sea?")


@pytest.mark.parametrize(
    ("text", "unsafe"), [("it turns clockwise", (SIDEWAYS, OVER)), ("three columns", (CLOCKWISE,)), ("above it", (OVER, CLOCKWISE))]
)
def test_some_words_stop_only_the_turns_that_change_them(text: str, unsafe: tuple[Turn, ...]) -> None:
    for turn in (SIDEWAYS, OVER, CLOCKWISE):
        if turn in unsafe:
            with pytest.raises(UnsafeWordsError):
                turn_words(text, turn)
        else:
            assert turn_words(text, turn) == text


def test_directions_are_found_with_where_they_point() -> None:
    found = find_directions("the lake in the north-west, on the left", others=WHERE)
    assert found == [Direction("north-west", (-1, -1)), Direction("left", (0, -1))]
