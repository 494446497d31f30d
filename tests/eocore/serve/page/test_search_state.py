"""The form of the search panel as what is looked for."""

import gc

import pytest

from eocore.errors import ConfigError
from eocore.predict.image_files import ImageFile
from eocore.serve.page.desk import Desk
from eocore.serve.page.search_map import corners_of
from eocore.serve.page.search_state import SearchState, _states, box_problem, state_of


def test_the_form_asks_for_what_was_typed() -> None:
    state = SearchState(text="  water ", like=["a"], since=" 2024-01-01 ", max_cloud=10, count=48)
    state.set_box("11, 48, 12, 49")
    wanted = state.wanted({"rgb": ImageFile(("a.tif",))})
    assert (wanted.text, wanted.images, wanted.like, wanted.k, wanted.filters.since) == ("water", {}, ["a"], 48, "2024-01-01")
    assert wanted.filters.area is not None and wanted.filters.area.bounds == (11, 48, 12, 49) and state.box_text() == "11, 48, 12, 49"
    state.set_box("")
    assert state.wanted({}).filters.area is None and state.box_text() == ""


def test_images_count_where_they_are_asked_for() -> None:
    file = ImageFile(("a.tif",))
    assert SearchState(uses_images=True).wanted({"rgb": file}).images == {"rgb": file}
    with pytest.raises(ConfigError, match="the model sees none of the opened images"):
        SearchState(uses_images=True).wanted({})


def test_areas_that_cannot_be_are_refused() -> None:
    assert box_problem("11,48") == "The area 11,48: expected WEST,SOUTH,EAST,NORTH in degrees, such as 11.3,48.0,11.8,48.3."
    assert box_problem("") is None and box_problem("1, 2, 3, 4") is None
    with pytest.raises(ConfigError, match="From never: expected an ISO 8601 date"):
        SearchState(since="never").wanted({})
    with pytest.raises(ConfigError, match="an area over the antimeridian is searched in two halves"):
        SearchState().set_box("170,0,-170,10")
    crossed = SearchState(area=[[0, 0], [1, 1], [0, 1], [1, 0]])
    area = crossed.wanted({}).filters.area
    assert area is not None and area.is_valid and area.area == pytest.approx(0.5)


def test_a_browser_may_send_anything() -> None:
    assert corners_of([[1, 2], [3, 4], [5, 6]]) == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    for wrong in (None, 7, "x", [[1, 2]], [[1, 2, 3]] * 3, [[95, 0]] * 3, [[float("nan"), 0]] * 3, [["a", "b"]] * 3, [[0, 0]] * 5000):
        assert corners_of(wrong) is None


def test_a_desk_keeps_its_state_as_long_as_it_is_there() -> None:
    desk = Desk()
    state = state_of(desk)
    assert state_of(desk) is state and state_of(Desk()) is not state
    del desk
    gc.collect()
    assert state not in _states.values()
