"""The budgets of time: each test counts for one room, and what was used is printed plainly."""

from collections import Counter
from pathlib import Path

import pytest
from time_budgets import ROOMS, num_workers, room_of, seconds_used, table

pytest_plugins = ["pytester"]


def report(nodeid: str, seconds: float, *markers: str) -> pytest.TestReport:
    return pytest.TestReport(nodeid, (nodeid, 1, ""), dict.fromkeys(markers, 1), "passed", None, "call", duration=seconds)


@pytest.mark.parametrize(
    ("nodeid", "room"),
    [
        ("tests/eocore/data/test_mixture.py::test_a", "eocore + earthmind"),
        ("tests/test_layers.py::test_a", "eocore + earthmind"),
        ("tests/eocore/search/test_index.py::TestA::test_b[x/y]", "search"),
        ("tests/eocore/searching/test_index.py::test_b", "eocore + earthmind"),
        ("tests/ms_clip/model/test_modeling.py::test_a", "ms_clip"),
        ("tests/docs/notebooks/test_notebooks.py::test_a", "notebooks"),
        ("tests/docs/test_moving_over.py::test_a", "eocore + earthmind"),
        ("tests/test_plain_install.py::test_a", "plain install"),
    ],
)
def test_a_test_counts_for_the_room_it_is_in(nodeid: str, room: str) -> None:
    assert room_of(nodeid).name == room


def test_the_budgets_of_all_rooms_are_stated_once() -> None:
    assert len({room.name for room in ROOMS}) == len(ROOMS)
    assert len({place for room in ROOMS for place in room.places}) == sum(len(room.places) for room in ROOMS)


def test_places_that_are_named_alone_hold_tests_or_nothing_yet(repo_root: Path) -> None:
    """A room whose tests have moved would count nothing."""
    assert (repo_root / "tests" / "test_plain_install.py").is_file()
    for path in (repo_root / "projects").glob("*/system.py"):
        system = path.parent.name
        assert system in ("eocore", "earthmind") or room_of(f"tests/{system}/test_a.py").name == system, f"no budget for {system}"


def test_fixtures_count_and_tests_outside_the_default_suite_do_not() -> None:
    reports = [report("tests/eocore/test_a.py::test_a", 1.5), report("tests/eocore/test_a.py::test_a", 0.25)]
    reports += [report("tests/eocore/test_a.py::test_b", 100.0, "slow"), report("tests/earthfm/test_a.py::test_c", 4.0)]
    assert seconds_used(reports) == {"eocore + earthmind": 1.75, "earthfm": 4.0}


def test_what_exceeds_its_budget_is_said() -> None:
    assert list(table(Counter({"search": 150.0, "eocore + earthmind": 900.0}), 2)) == [
        "eocore + earthmind     450.0 of 480 s",
        "search                  75.0 of 60 s: 15 s too many",
    ]


def test_workers_are_those_that_reported() -> None:
    reports = [report("tests/eocore/test_a.py::test_a", 1.0) for _ in range(3)]
    assert num_workers(reports) == num_workers([]) == 1
    for each, worker in zip(reports, ("gw0", "gw1", "gw0"), strict=True):
        each.worker_id = worker  # type: ignore[attr-defined]  # as pytest-xdist sets it
    assert num_workers(reports) == 2


def test_the_end_of_a_run_shows_it(pytester: pytest.Pytester, repo_root: Path) -> None:
    pytester.makeini(f"[pytest]\npythonpath = {repo_root / 'tests'}")
    pytester.makeconftest("from time_budgets import pytest_terminal_summary")
    for system in ("eocore", "earthfm"):
        folder = pytester.path / "tests" / system
        folder.mkdir(parents=True)
        (folder / f"test_{system}.py").write_text("import time\ndef test_a():\n    time.sleep(0.1)\n")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.stdout.re_match_lines([r"-+ seconds used, of the budget -+", r"eocore \+ earthmind +\d.\d of 480 s", r"earthfm +\d.\d of 120 s"])
    assert "2 passed" in result.outlines[-1], "pytest's own line stays the last"
