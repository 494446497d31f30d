"""Checks as commands: what each becomes, and that one that fails, hangs or is missing leaves the others theirs."""

import sys
import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from eocore.checks.steps import FAILED, PASSED, SKIPPED, Check, Outcome, count_line, exit_status, outcome_table, run_checks
from eocore.errors import ConfigError

BUDGET_S = 60.0


def python(name: str, code: str, *, limit_s: float = 30, **fields: object) -> Check:
    return Check(name=name, command=[sys.executable, "-c", code], limit_s=limit_s, **fields)  # type: ignore[arg-type]


def run(tmp_path: Path, *checks: Check, budget_s: float = BUDGET_S) -> list[Outcome]:
    return run_checks(checks, tmp_path / "logs", budget_s=budget_s)


def test_a_failure_stops_only_what_needs_it(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        python("good", "print('all is well')"),
        python("bad", "import sys; print('trying'); sys.exit('DataError: no such band')"),
        python("after bad", "pass", needs=["bad"]),
        python("last", "pass", needs=["good"]),
    )
    assert [outcome.result for outcome in found] == [PASSED, FAILED, FAILED, PASSED]
    assert found[1].reason == "exit status 1: DataError: no such band"
    assert found[2].reason == "not run: it needs what 'bad' failed" and found[2].log is None
    assert exit_status(found) == 1 and count_line(found) == "2 passed, 2 failed, 0 skipped"
    assert found[0].log is not None and "all is well" in found[0].log.read_text()


def test_what_is_skipped_says_why_and_is_no_failure(tmp_path: Path) -> None:
    found = run(
        tmp_path, python("flash", "raise SystemExit(3)", skip="no GPU"), python("after", "pass", needs=["flash"]), python("on", "pass")
    )
    assert [outcome.result for outcome in found] == [SKIPPED, SKIPPED, PASSED]
    assert found[0].reason == "no GPU" and "needs what 'flash' skipped" in found[1].reason
    assert exit_status(found) == 0


def test_one_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "child"
    waiting = Check(name="hangs", command=["bash", "-c", f"echo waiting; sleep 99 & echo -n $! > {mark}; sleep 600"], limit_s=2)
    begun = time.monotonic()
    found = run(tmp_path, waiting, python("next", "pass"))
    assert time.monotonic() - begun < 90
    assert [outcome.result for outcome in found] == [FAILED, PASSED]
    assert found[0].reason == "not done after 2 s; last line: waiting"
    status = Path(f"/proc/{mark.read_text()}/stat")
    assert not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_what_no_time_is_left_for_fails(tmp_path: Path) -> None:
    (found,) = run(tmp_path, python("late", "pass"), budget_s=0)
    assert found.result == FAILED and found.reason == "not run: the time for all checks is used up"


def test_a_program_that_is_not_there_fails(tmp_path: Path) -> None:
    (found,) = run(tmp_path, Check(name="none", command=["/no/such/program"], limit_s=5))
    assert found.result == FAILED and "cannot be started" in found.reason


def test_variables_reach_the_command(tmp_path: Path) -> None:
    code = "import os; assert os.environ['BAND'] == 'B08' and 'PATH' in os.environ"
    (found,) = run(tmp_path, python("variables", code, environment={"BAND": "B08"}))
    assert found.result == PASSED


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ([python("a", "pass"), python("a", "pass")], "check 'a' is duplicated"),
        ([python("a", "pass", needs=["b"]), python("b", "pass")], "check 'a' needs b, which no check before it is"),
    ],
)
def test_wrong_lists_are_refused(tmp_path: Path, checks: list[Check], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, *checks)


def test_the_table_names_reason_and_log() -> None:
    outcomes = [
        Outcome(name="train", result=FAILED, seconds=12.4, reason="exit status 1: [SEG] is no token", log=Path("/logs/01_train.log")),
        Outcome(name="flash", result=SKIPPED, reason="no GPU"),
    ]
    output = StringIO()
    Console(file=output, width=150).print(outcome_table(outcomes, title="H100"))
    text = output.getvalue()
    assert (
        "[SEG] is no token" in text
        and "01_train.log" in text
        and "logs: /logs" in text
        and "12" in text
        and "no GPU" in text
        and "H100" in text
    )
