"""Processes of their own: what they write comes back, and where they fail the message is the failure's, whole."""

import pytest

from eocore.errors import EOError
from profiling.measures.isolation import LED_TO, MOST_SHOWN, TRACEBACK, first_failure, run_module

LAUNCHED = """W1121 12:00:00 launcher: set OMP_NUM_THREADS
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    work()
    ~~~~^^
eocore.errors.ConfigError: no setting 'x'. Choices:
y, or the path of a file.
E1121 12:00:01 failed (exitcode: 1)
Traceback (most recent call last):
  File "run.py", line 2, in main
ChildFailedError: worker failed
"""


def test_the_first_failure_is_told_whole_and_alone() -> None:
    assert first_failure(LAUNCHED) == "eocore.errors.ConfigError: no setting 'x'. Choices:\ny, or the path of a file."


def test_a_rank_s_mark_before_each_line_is_no_hindrance() -> None:
    marked = "".join(f"[rank1]: {line}\n" for line in ("Traceback (most recent call last):", "  File 'a.py'", "ValueError: of the rank"))
    assert first_failure(marked) == "ValueError: of the rank"


@pytest.mark.parametrize("link", LED_TO)
def test_of_a_chain_the_last_is_told(link: str) -> None:
    chain = f"{TRACEBACK}:\n  in a\nKeyError: 'a'\n\n{link}, ...\n\n{TRACEBACK}:\n  in b\nConfigError: no setting 'a'.\n"
    later = f"{TRACEBACK}:\n  in run\nChildFailedError: worker failed\n"
    assert first_failure(chain + later) == "ConfigError: no setting 'a'."


def test_without_an_exception_the_last_lines_are_told() -> None:
    lines = [f"line {number}" for number in range(2 * MOST_SHOWN)]
    assert first_failure("\n".join(lines)).splitlines() == lines[-MOST_SHOWN:]


def test_a_module_runs_with_input_and_arguments() -> None:
    assert run_module("json.tool", ["--compact"], what="formatting", given='{"a": 1}').strip() == '{"a":1}'


def test_a_module_that_fails_is_named() -> None:
    with pytest.raises(EOError, match=r"formatting ended with 1: Expecting value: line 1 column 1"):
        run_module("json.tool", what="formatting", given="nothing")
