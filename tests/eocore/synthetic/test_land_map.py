"""What a class map tells about its classes."""

import numpy as np
import pytest

from eocore.errors import DataError
from eocore.synthetic.land_map import LandClass, LandMap

CLASSES = {1: LandClass("water", "lake", "lakes"), 2: LandClass("forest"), 3: LandClass("grass")}


def striped(**rows: int) -> np.ndarray:
    """(100, 10) with so many rows of class 1, 2, 3 or unknown (0)."""
    return np.concatenate([np.full((number, 10), int(name[1:]), np.uint8) for name, number in rows.items()])


def land(class_map: np.ndarray, **more) -> LandMap:
    return LandMap(class_map, CLASSES, np.zeros(class_map.shape, np.int32), **more)


def test_areas_are_ordered_and_leave_out_the_unknown():
    map_ = land(striped(c0=10, c1=20, c3=70))
    assert map_.areas == {3: 0.7, 1: 0.2}
    assert map_.unknown == pytest.approx(0.1)


def test_majority_needs_a_clear_lead():
    assert land(striped(c1=60, c2=40)).majority == 1
    assert land(striped(c1=55, c2=45)).majority is None
    assert land(striped(c1=100)).majority == 1


def test_majority_must_stand_whatever_is_unknown():
    assert land(striped(c0=5, c1=60, c2=35)).majority == 1
    assert land(striped(c0=30, c1=40, c2=30)).majority is None
    assert land(striped(c0=100)).majority is None


def test_nothing_is_absent_where_the_unknown_could_hold_it():
    assert land(striped(c1=60, c3=40)).absent == [2]
    assert land(striped(c0=1, c1=59, c3=40)).absent == []


def test_present_classes_have_the_smallest_area():
    assert land(striped(c1=1, c2=4, c3=95)).present(0.02) == [3, 2]


def test_objects_and_nouns():
    class_map = striped(c1=50, c3=50)
    objects = np.zeros(class_map.shape, np.int32)
    objects[:10], objects[20:30] = 1, 2
    map_ = LandMap(class_map, CLASSES, objects, nouns={2: "river"})
    assert map_.objects_of(1) == [1, 2]
    assert map_.objects_of(3) == []
    assert (map_.noun(1, 1), map_.noun(2, 1), map_.noun(3, 2)) == ("lake", "river", "")


def test_arrays_on_different_grids_are_refused():
    with pytest.raises(DataError, match=r"a land map of \(100, 10\) px with `visible` of \(5, 5\) px; give both on one grid"):
        land(striped(c1=100), visible=np.ones((5, 5), bool))
    with pytest.raises(DataError, match="with `objects` of"):
        LandMap(striped(c1=100), CLASSES, np.zeros((3, 3), np.int32))
