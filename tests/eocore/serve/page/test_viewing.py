from typing import Any

import pytest

from eocore.serve.page.desk import Region
from eocore.serve.page.viewing import region_of

GOOD: dict[str, Any] = {"kind": "polygon", "image": "k", "points": [[1, 2], [3.5, 2], [3, 9]]}


def test_a_drawn_region_is_taken() -> None:
    assert region_of(GOOD) == Region("polygon", "k", ((1.0, 2.0), (3.5, 2.0), (3.0, 9.0)))


@pytest.mark.parametrize(
    "changes",
    [
        {"points": [[1, 2], [3, 4]]},
        {"points": [[1, 2], [3, 4], [5, float("nan")]]},
        {"points": [[1, 2], [3, 4], ["a", 5]]},
        {"points": [[1, 2, 3]] * 4},
        {"points": [[1, 2]] * 3000},
        {"points": None},
        {"kind": "<b>"},
    ],
)
def test_what_no_viewer_draws_is_not(changes: dict[str, Any]) -> None:
    assert region_of(GOOD | changes) is None


def test_something_missing_is_no_region() -> None:
    assert region_of({"kind": "box"}) is None
