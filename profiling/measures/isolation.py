"""One side of a ratio in a process of its own, whose peak of memory is then its own too: python -m profiling.measures.isolation JSON."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eocore.errors import EOError
from profiling.measures.memory import PeakMemory, measure_peak

ROOT = Path(__file__).resolve().parents[2]
MOST_SHOWN = 20
"""Lines of a failed process's messages that are told."""
RANK_MARK = re.compile(r"^\[rank\d+\]: ?", re.MULTILINE)
"""What torch puts before each line of a rank's exceptions."""
TRACEBACK = "Traceback (most recent call last)"
LED_TO = ("During handling of the above exception", "The above exception was the direct cause")
"""How Python goes from an exception to one that it led to."""
AFTER_MESSAGE = re.compile("|".join([*map(re.escape, (TRACEBACK, *LED_TO)), r"[EWIF]\d{4} "]))
"""How a line begins that no longer belongs to an exception's message; the last is the log of torch's launcher."""


def measure_sides(system: str, config: Mapping[str, Any]) -> dict[str, PeakMemory]:
    """Peak memory of each side of a ratio, each in a fresh process.

    Raises:
        EOError: a process failed.
    """
    return {side: _measure_apart({"system": system, "ratio": dict(config), "side": side}) for side in ("reference", "ours")}


def run_module(
    module: str,
    arguments: Sequence[str] = (),
    *,
    what: str,
    launcher: Sequence[str] = (),
    given: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a module of these packages writes to its output when it runs in a process of its own.

    Args:
        module, arguments: as `python -m module arguments`.
        what: the work, for the message where it fails.
        launcher: arguments of python that come before, of a module that starts this one.
        given: to its input.
        environment: variables on top of those of this process.

    Raises:
        EOError: the process failed.
    """
    command = [sys.executable, *launcher, "-m", module, *arguments]
    packages = os.pathsep.join([str(ROOT), str(ROOT / "projects"), os.environ.get("PYTHONPATH", "")])
    variables = {**os.environ, "PYTHONPATH": packages, **(environment or {})}
    done = subprocess.run(command, input=given, capture_output=True, text=True, env=variables, check=False)
    if done.returncode:
        raise EOError(f"{what} ended with {done.returncode}: {first_failure(done.stderr)}")
    return done.stdout


def first_failure(messages: str) -> str:
    """The message of the first process that failed, of what it or a launcher wrote; the last lines where there is no exception.

    Of exceptions that led to one another the last is told: it knows what the work was about.
    """
    lines = RANK_MARK.sub("", messages).splitlines()
    traceback = next((number for number, line in enumerate(lines) if line.startswith(TRACEBACK)), None)
    message = lines[-MOST_SHOWN:]
    while traceback is not None:
        start = next((number for number in range(traceback + 1, len(lines)) if not lines[number].startswith(" ")), len(lines))
        end = next((number for number in range(start + 1, len(lines)) if AFTER_MESSAGE.match(lines[number])), len(lines))
        message = lines[start:end][:MOST_SHOWN]
        led_on = end < len(lines) and lines[end].startswith(LED_TO)
        traceback = next((number for number in range(end, len(lines)) if lines[number].startswith(TRACEBACK)), None) if led_on else None
    return "\n".join(message).strip()


def _measure_apart(order: Mapping[str, Any]) -> PeakMemory:
    what = f"side '{order['side']}' of {order['ratio']}"
    output = run_module("profiling.measures.isolation", [json.dumps(order)], what=what)
    return PeakMemory(**json.loads(output.splitlines()[-1]))


def _main(order: Mapping[str, Any]) -> None:
    from profiling.ratios.ratio import Pair, build_ratio, load_ratios

    load_ratios(order["system"])
    ratio = build_ratio(order["system"], order["ratio"])
    assert isinstance(ratio, Pair)
    sys.stdout.write(json.dumps(asdict(measure_peak(ratio.prepare(order["side"])))) + "\n")


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
