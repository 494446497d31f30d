"""Items together, alone where that fails, and again where the reason may pass."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from works import FailsOnce, Square, numbered

from eocore.jobs import work
from eocore.jobs.work import Item, Result, run_items


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "FIRST_PAUSE_S", 0.0)


def test_one_refused_item_costs_no_other(tmp_path: Path) -> None:
    found = run_items(Square(tmp_path / "log", broken=(1,)), numbered(3))
    assert [outcome.error for outcome in found] == ["", "1 is refused", ""]
    assert [outcome.result is None for outcome in found] == [False, True, False]


def test_what_may_pass_is_tried_again(tmp_path: Path) -> None:
    (item,) = numbered(1)
    assert run_items(FailsOnce(tmp_path), [item])[0].result == {}


def test_what_does_not_pass_is_told_with_how_often(tmp_path: Path) -> None:
    def fails(items: Sequence[Item]) -> list[Result]:
        raise ConnectionError("the network is away")

    (outcome,) = run_items(fails, numbered(1), attempts=2)
    assert outcome.error.startswith("ConnectionError: the network is away")
    assert outcome.error.endswith(", 2 times")


def test_work_that_returns_too_few_results_is_told(tmp_path: Path) -> None:
    found = run_items(lambda items: [], numbered(2))
    assert found[0].error == "the work returned 0 results of 1 items; one an item is expected. Correct the work."
