"""Checks that are commands: each with a time limit and a log of its own, so that one that fails or hangs leaves the others theirs."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from eocore.errors import ConfigError

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
GRACE_S = 5.0
"""Time that a command which is told to end has for it [s]."""
LONGEST_REASON = 160
"""Characters of a reason in the table; the log has the rest."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A command to run.

    Attributes:
        name: one for each check.
        command: program and arguments.
        limit_s: longest it may take [s].
        needs: names of earlier checks whose results it uses; without one of them it is not run.
        skip: why it cannot be run here; empty where it can.
        environment: variables on top of those of this process.
    """

    name: str
    command: Sequence[str]
    limit_s: float
    needs: Sequence[str] = ()
    skip: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a check.

    Attributes:
        name: of the check.
        result: `PASSED`, `FAILED` or `SKIPPED`.
        seconds: it took.
        reason: why it failed or was skipped.
        log: what it wrote; None where it was not run.
    """

    name: str
    result: str
    seconds: float = 0.0
    reason: str = ""
    log: Path | None = None


def run_checks(checks: Sequence[Check], logs: Path, *, budget_s: float, tell: Callable[[Outcome], None] = lambda _: None) -> list[Outcome]:
    """The outcome of every check, in their order; none stops those after it.

    Args:
        checks: to run.
        logs: folder of their logs.
        budget_s: of all together [s]; what is running then is ended and failed, what has not begun failed.
        tell: called with each outcome as it is known.

    Raises:
        ConfigError: two checks have one name, or one needs what no earlier one is.
    """
    _check_names(checks)
    logs.mkdir(parents=True, exist_ok=True)
    end, outcomes = time.monotonic() + budget_s, dict[str, Outcome]()
    for number, check in enumerate(checks, start=1):
        log = logs / f"{number:02d}_{re.sub(r'[^A-Za-z0-9]+', '_', check.name).strip('_')}.log"
        outcomes[check.name] = _without_running(check, outcomes, end=end) or _run(
            check, log, limit_s=min(check.limit_s, end - time.monotonic())
        )
        tell(outcomes[check.name])
    return list(outcomes.values())


def exit_status(outcomes: Sequence[Outcome]) -> int:
    """1 where a check failed, else 0."""
    return int(any(outcome.result == FAILED for outcome in outcomes))


def outcome_table(outcomes: Sequence[Outcome], *, title: str) -> Table:
    """One row for each check, with the name of its log, whose folder stands below: a path in a narrow column would be cut off."""
    folders = dict.fromkeys(str(outcome.log.parent) for outcome in outcomes if outcome.log)
    caption = f"logs: {', '.join(folders)}".replace("[", r"\[") if folders else None
    table = Table("check", "result", "s", "reason", "log", title=title, caption=caption)
    for outcome in outcomes:
        style = {PASSED: "green", FAILED: "bold red", SKIPPED: "yellow"}[outcome.result]
        reason = outcome.reason.replace("[", r"\[")
        row = (outcome.name, f"[{style}]{outcome.result}[/]", f"{outcome.seconds:.0f}", reason, outcome.log.name if outcome.log else "")
        table.add_row(*row)
    return table


def count_line(outcomes: Sequence[Outcome]) -> str:
    """Numbers of each result in one line."""
    return ", ".join(f"{sum(outcome.result == result for outcome in outcomes)} {result}" for result in (PASSED, FAILED, SKIPPED))


def _check_names(checks: Sequence[Check]) -> None:
    seen: set[str] = set()
    for check in checks:
        missing = [name for name in check.needs if name not in seen]
        if check.name in seen or missing:
            what = f"needs {', '.join(missing)}, which no check before it is" if missing else "is duplicated"
            raise ConfigError(f"check '{check.name}' {what}. Correct the list of checks.")
        seen.add(check.name)


def _without_running(check: Check, earlier: Mapping[str, Outcome], *, end: float) -> Outcome | None:
    """The outcome of a check that is not run; None where it is to be."""
    if check.skip:
        return Outcome(name=check.name, result=SKIPPED, reason=check.skip)
    lacking = [earlier[name] for name in check.needs if earlier[name].result != PASSED]
    if lacking:
        failed = any(outcome.result == FAILED for outcome in lacking)
        names = ", ".join(f"'{outcome.name}' {outcome.result}" for outcome in lacking)
        return Outcome(name=check.name, result=FAILED if failed else SKIPPED, reason=f"not run: it needs what {names}")
    if time.monotonic() >= end:
        return Outcome(name=check.name, result=FAILED, reason="not run: the time for all checks is used up")
    return None


def _run(check: Check, log: Path, *, limit_s: float) -> Outcome:
    begun = time.monotonic()
    reason = _reason(check, log, limit_s=limit_s)
    seconds = time.monotonic() - begun
    return Outcome(name=check.name, result=FAILED if reason else PASSED, seconds=seconds, reason=reason, log=log)


def _reason(check: Check, log: Path, *, limit_s: float) -> str:
    """Runs the command; returns why it failed, nothing where it did not."""
    with log.open("wb") as file:
        file.write(f"$ {' '.join(check.command)}\n".encode())
        file.flush()
        try:
            # a group of its own, so that a launcher's processes end with it
            process = subprocess.Popen(
                check.command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **check.environment},
                start_new_session=True,
            )
        except OSError as error:
            return f"cannot be started: {error}"
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return f"not done after {limit_s:.0f} s; last line: {_last_line(log)}"
        finally:
            _end(process)
    return f"exit status {status}: {_last_line(log)}" if status else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends what is left of the command's processes."""
    for order in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, order)
        except ProcessLookupError:
            break
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _last_line(log: Path) -> str:
    """The last line of a log that says something; of an error in a table's frame or a traceback, its message."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[1:] if re.search(r"\w", line)]
    errors = [line for line in lines if re.search(r"\bERROR\b|\w*Error\b", line)]
    line = (errors or lines or ["it wrote nothing"])[-1]
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}..."
