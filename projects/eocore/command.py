"""What the programs of tools/ share: the exit status, and how an error that the user can put right is shown."""

import sys
from collections.abc import Callable
from functools import wraps

from eocore.errors import EOError, OutputError
from eocore.output import describe_failure


def command(main: Callable[[], int | None]) -> Callable[[], int]:
    """`main` as a program's: gives the exit status.

    Args:
        main: does the work; what it gives is the status, None = 0.

    Returns:
        A function that gives the status of `main`, or 1 where it raises an `EOError`, whose class and text stderr gets instead of a trace.
        A disk that is full or may not be written to is such an error too, whoever met it.
    """

    @wraps(main)
    def run() -> int:
        try:
            return main() or 0
        except EOError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return 1
        except OSError as error:
            problem = describe_failure(error)
            if problem is None:
                raise
            sys.stderr.write(f"{OutputError.__name__}: {problem}\n")
            return 1

    return run
