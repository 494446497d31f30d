"""How long the default suite may take, room by room: what was used is printed beside it at the end of every run."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest
from _pytest.terminal import TerminalReporter

LEFT_OUT = frozenset({"slow", "fault", "net", "gpu"})
"""Markers of tests that the default suite does not run, and that no budget counts."""


@dataclass(frozen=True)
class Room:
    """Folders and files whose tests share a budget.

    Attributes:
        name: as it is printed.
        budget_s: seconds that its tests may take on two cores.
        places: paths from the repository's root; of several rooms that hold a test, the one of the longest path counts it.
    """

    name: str
    budget_s: int
    places: tuple[str, ...]


LONG_INPUTS = (
    "tests/eocore/long_inputs",
    "tests/earthmind/long_inputs",
    "tests/earthmind/model/test_long_inputs.py",
    "tests/earthmind/building/test_compression.py",
    *(
        f"tests/eocore/portable/test_{name}.py"
        for name in ("token_compression", "compressed_reading", "compression_plan", "long_options", "token_reduction")
    ),
)
ROOMS = (
    Room("eocore + earthmind", 480, ("",)),
    Room("ms_clip", 120, ("tests/ms_clip", "tests/tools/ms_clip", "tests/profiling/ms_clip", "tests/parity/test_open_clip.py")),
    Room("aerith", 120, ("tests/aerith",)),
    Room("earthfm", 120, ("tests/earthfm",)),
    Room("page", 180, ("tests/eocore/serve",)),
    Room("search", 60, ("tests/eocore/search",)),
    Room("long inputs", 90, LONG_INPUTS),
    Room("scenes", 150, ("tests/eocore/scenes", "tests/eocore/jobs")),
    Room("notebooks", 90, ("tests/docs/notebooks",)),
    Room("plain install", 120, ("tests/test_plain_install.py",)),
)
"""Every room with a budget, and where its tests are; what is named nowhere belongs to the first."""


def room_of(nodeid: str) -> Room:
    """The room of a test, from its id in pytest."""
    path = nodeid.partition("::")[0]
    held = [(len(place), room) for room in ROOMS for place in room.places if _holds(place, path)]
    return max(held, key=lambda pair: pair[0])[1]


def _holds(place: str, path: str) -> bool:
    return not place or path == place or path.startswith(f"{place}/")


def seconds_used(reports: Iterable[pytest.TestReport]) -> Counter[str]:
    """Room -> seconds of its tests with their fixtures, summed over all workers."""
    used: Counter[str] = Counter()
    for report in reports:
        if not LEFT_OUT & set(report.keywords):
            used[room_of(report.nodeid).name] += report.duration
    return used


def num_workers(reports: Iterable[pytest.TestReport]) -> int:
    """Processes that ran tests: those of pytest-xdist, or this one."""
    return len({report.worker_id for report in reports if hasattr(report, "worker_id")}) or 1


def table(used: Counter[str], workers: int) -> Iterator[str]:
    """A line for each room that ran: seconds used, on as many workers, and the budget."""
    for room in ROOMS:
        if room.name in used:
            seconds = used[room.name] / workers
            over = f": {seconds - room.budget_s:.0f} s too many" if seconds > room.budget_s else ""
            yield f"{room.name:<20} {seconds:7.1f} of {room.budget_s} s{over}"


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Prints the table of the tests that ran."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind if isinstance(report, pytest.TestReport)]
    terminalreporter.section("seconds used, of the budget", sep="-")
    for line in table(seconds_used(reports), num_workers(reports)):
        terminalreporter.write_line(line)
