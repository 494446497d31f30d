"""Errors of a loader's processes, as this process shows them.

torch hands an error of a loader process on as its class, made of a text that holds the whole trace: thousands of characters, with what
matters at their end.
"""

import re
import time

from eocore.errors import EOError

LOADER = "DataLoader"
"""Stands in every message of torch's loader about its processes."""
DEATH = "killed by signal"
"""Stands in the message that knows why a process has ended."""
SETTLE_S = 1.0
"""A process that broke its connection is known to have died after this time [s]."""
HANDED_ON = re.compile(r"Caught \w+ in DataLoader worker process \d+\.\nOriginal (?P<trace>Traceback .*)", re.DOTALL)
"""Source: torch/_utils.py, ExceptionWrapper.reraise."""


class ProcessTrace(Exception):
    """The trace of an error in a loader process."""


def as_raised(error: EOError) -> EOError:
    """`error` with the text it was raised with; where a loader process raised it, the trace there becomes its cause."""
    trace = trace_of_process(error)
    if trace is None:
        return error
    name = f"{type(error).__module__}.{type(error).__qualname__}: "
    plain = type(error)(trace.rpartition(f"\n{name}")[2].strip())
    plain.__cause__ = ProcessTrace(trace)
    return plain


def trace_of_process(error: Exception) -> str | None:
    """The trace of an error that a loader process raised; None where `error` comes from elsewhere."""
    found = HANDED_ON.match(str(error))
    return found["trace"].rstrip() if found else None


def last_error(trace: str) -> str:
    """Class, text and notes at the end of a trace, in one line: what follows its frames, which are indented."""
    lines = trace.splitlines()
    start = max((number for number, line in enumerate(lines) if line.startswith(" ")), default=-1) + 1
    return " ".join(lines[start:]) or lines[-1]


def told_by_loader(error: Exception) -> str:
    """What torch says of a loader process that died or is too slow; empty where none did.

    A death reaches this thread as an error of its own, out of a signal handler, before, during or after the one of the broken connection.
    """
    errors: list[BaseException | None] = [error, error.__cause__, error.__context__]
    try:
        time.sleep(SETTLE_S)
    except RuntimeError as late:
        errors.append(late)
    told = [str(entry) for entry in errors if isinstance(entry, RuntimeError) and LOADER in str(entry)]
    return next((text for text in told if DEATH in text), told[0] if told else "")
