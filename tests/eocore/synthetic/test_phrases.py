"""Phrases point at exactly what they say."""

import numpy as np
import pytest

from eocore.synthetic.land_map import LandClass, LandMap, QuestionOptions
from eocore.synthetic.phrases import can_point, direction_of, find_phrases, find_regions

CLASSES = {1: LandClass("water", "lake", "lakes"), 2: LandClass("grass")}
ONLY_OBJECTS = QuestionOptions(object_share=1.0)


def box(top: int, left: int, height: int, width: int, size: int = 100) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[top : top + height, left : left + width] = True
    return mask


def lakes(*masks: np.ndarray, visible: np.ndarray | None = None) -> LandMap:
    class_map, objects = np.full(masks[0].shape, 2, np.uint8), np.zeros(masks[0].shape, np.int32)
    for number, mask in enumerate(masks, start=1):
        class_map[mask], objects[mask] = 1, number
    return LandMap(class_map, CLASSES, objects, visible=visible)


def texts(land: LandMap, options: QuestionOptions = ONLY_OBJECTS) -> dict[str, np.ndarray]:
    return {phrase.text: phrase.mask for phrase in find_phrases(land, np.random.default_rng(0), options=options)}


@pytest.mark.parametrize(
    ("mask", "direction"),
    [
        (box(5, 40, 20, 20), "north"),
        (box(75, 40, 20, 20), "south"),
        (box(40, 5, 20, 20), "west"),
        (box(40, 75, 20, 20), "east"),
        (box(40, 40, 20, 20), None),  # in the middle
        (box(5, 5, 20, 20), None),  # in a corner
        (box(0, 0, 66, 100), None),  # mostly, but not clearly on one side
    ],
)
def test_direction(mask, direction):
    assert direction_of(mask) == direction


def test_a_lake_alone_is_named_by_its_place():
    found = texts(lakes(box(5, 40, 20, 20)))
    assert list(found) == ["lake in the north"]
    assert np.array_equal(found["lake in the north"], box(5, 40, 20, 20))


def test_a_place_is_told_beside_the_phrase_unless_the_phrase_tells_it():
    land = lakes(box(5, 40, 20, 20))
    by_text = {
        phrase.text: phrase.place for phrase in find_phrases(land, np.random.default_rng(0), options=QuestionOptions(object_share=0.5))
    }
    assert by_text == {"water": "north", "lake in the north": ""}


def test_a_second_lake_on_the_same_side_takes_the_direction_away():
    assert "lake in the north" not in texts(lakes(box(5, 40, 20, 20), box(30, 5, 14, 14)))


def test_lakes_on_opposite_sides_keep_their_directions():
    found = texts(lakes(box(5, 40, 20, 20), box(75, 40, 20, 20)))
    assert set(found) == {"lake in the north", "lake in the south"}


def test_the_largest_needs_a_clear_lead():
    assert np.array_equal(texts(lakes(box(5, 5, 20, 20), box(70, 70, 14, 14)))["largest lake"], box(5, 5, 20, 20))
    assert "largest lake" not in texts(lakes(box(5, 5, 20, 20), box(70, 70, 19, 19)))


def test_class_phrases_cover_all_of_the_class():
    found = texts(lakes(box(5, 5, 20, 20), box(70, 70, 14, 14)), QuestionOptions(object_share=0.0, max_area=1.0))
    assert set(found) == {"water", "grass"}
    assert np.array_equal(found["water"], box(5, 5, 20, 20) | box(70, 70, 14, 14))
    assert np.array_equal(found["grass"], ~found["water"])


def test_the_share_of_object_phrases_is_kept_on_average():
    land, options = lakes(box(5, 40, 20, 20), box(75, 40, 20, 20)), QuestionOptions(object_share=0.4, max_area=1.0)
    kinds = [phrase.kind for seed in range(300) for phrase in find_phrases(land, np.random.default_rng(seed), options=options)]
    assert kinds.count("object") / len(kinds) == pytest.approx(0.4, abs=0.03)


def test_size_limits():
    options = QuestionOptions(min_area=0.04, max_area=0.5)
    land = lakes(box(0, 0, 20, 20))
    assert can_point(box(0, 0, 20, 20), land, options=options)
    assert not can_point(box(0, 0, 20, 19), land, options=options)
    assert not can_point(box(0, 0, 100, 51), land, options=options)


@pytest.mark.parametrize(("clear", "fits"), [(0, False), (2, False), (5, True), (12, True), (14, False), (20, False)])
def test_under_clouds_a_part_must_show_and_a_part_be_hidden(clear, fits):
    land = lakes(box(0, 0, 20, 20), visible=box(0, 0, 20, clear))
    assert can_point(box(0, 0, 20, 20), land, options=QuestionOptions()) is fits


def test_regions_are_the_objects_with_the_name_of_their_class():
    regions = find_regions(lakes(box(5, 40, 20, 20), box(80, 80, 3, 3)), options=QuestionOptions())
    assert [region.description for region in regions] == ["water"]
    assert np.array_equal(regions[0].mask, box(5, 40, 20, 20))
