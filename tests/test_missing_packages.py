"""A skip for want of a package is a failure in continuous integration, and nowhere else; other skips remain skips."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest

def test_no_reason():
    pytest.importorskip("no_such_package")

def test_own_reason():
    pytest.importorskip("no_such_package", reason="extra java is not installed")

@pytest.mark.skipif(True, reason="shellcheck is not installed (extra: dev)")
def test_by_a_mark():
    pass

@pytest.mark.skipif(True, reason="needs a CUDA device, and there is none")
def test_without_a_gpu():
    pass

def test_without_the_reference_material():
    pytest.skip("needs the reference material in ../shared, which is not there")

@pytest.mark.xfail(reason="the package is not installed")
def test_that_is_known_to_fail():
    assert False
"""
WHOLE_FILE = """
import pytest
pytest.skip("Meta's sam2 is not installed", allow_module_level=True)
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, repo_root: Path) -> pytest.Pytester:
    pytester.makeconftest("from missing_packages import pytest_make_collect_report, pytest_runtest_makereport")
    pytester.syspathinsert(repo_root / "tests")
    return pytester


def test_elsewhere_they_are_skips(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    suite.makepyfile(test_single=TESTS, test_whole=WHOLE_FILE)
    suite.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(skipped=6, xfailed=1)


def test_in_ci_they_fail_and_say_what_to_install(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    suite.makepyfile(test_single=TESTS, test_whole=WHOLE_FILE)
    result = suite.runpytest_inprocess("-p", "no:cacheprovider", "--continue-on-collection-errors")
    result.assert_outcomes(failed=2, errors=2, skipped=2, xfailed=1)
    result.stdout.fnmatch_lines_random(
        [
            "*could not import 'no_such_package'*with CI=true*",
            "*shellcheck is not installed*bash tools/test.sh",
            "*Meta's sam2 is not installed*",
        ]
    )
