"""What the programs of tools/ share: the exit status, and how an error that the user can put right is shown."""

import os
import sys
import time
from collections.abc import Callable
from functools import wraps

from eocore.errors import EOError, OutputError
from eocore.files import describe_failure

LAUNCHER_NOTICES_S = 15.0
"""torchrun ends the processes that are left once one has ended, which takes seconds from its last words on a busy machine."""


def let_first_rank_speak() -> None:
    """Waits, on every rank but the first of several, for the launcher to end this process; most errors are every rank's.

    Comes back where this process is still there: then the first rank has not failed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and int(os.environ.get("RANK", "0")) > 0:
        time.sleep(LAUNCHER_NOTICES_S)


def command(main: Callable[[], int | None]) -> Callable[[], int]:
    """`main` as a program's: gives the exit status.

    Args:
        main: does the work; what it gives is the status, None = 0.

    Returns:
        A function that gives the status of `main`, or 1 where it raises an `EOError`, whose class and text stderr gets instead of a trace.
        A disk that is full or may not be written to is such an error too, whoever met it. On several ranks the first one speaks.
    """

    @wraps(main)
    def run() -> int:
        try:
            return main() or 0
        except EOError as error:
            let_first_rank_speak()
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return 1
        except OSError as error:
            problem = describe_failure(error)
            if problem is None:
                raise
            let_first_rank_speak()
            sys.stderr.write(f"{OutputError.__name__}: {problem}\n")
            return 1

    return run
