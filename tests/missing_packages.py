"""Continuous integration has every package of the extras that tools/test.sh installs: a test that is skipped for want of one has failed.

Such a skip says "... is not installed" (`pytest.importorskip` without a reason: "could not import ..."). Skips for want of the reference
material beside the repository, of a GPU, or of what no extra brings say what they need in other words, and remain skips.
"""

import os
import re
from collections.abc import Generator

import pytest

WORDS = re.compile(r"\bis not installed\b|\bcould not import\b")
Report = pytest.TestReport | pytest.CollectReport


def in_ci() -> bool:
    """Whether this is a run of continuous integration (CI=true)."""
    return os.environ.get("CI", "").lower() == "true"


def fail_where_missing(report: Report) -> None:
    """Turns a skip for want of a package into a failure, in place."""
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        if WORDS.search(reason):
            report.outcome = "failed"
            report.longrepr = f"{path}:{line}: {reason}; with CI=true every package must be there. Install it: bash tools/test.sh"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """For a test."""
    report = yield
    if in_ci():
        fail_where_missing(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """For a whole file."""
    report = yield
    if in_ci():
        fail_where_missing(report)
    return report
