"""How a training's error is shown: once, by the rank that failed first, as the last thing on the screen."""

import os
import sys
import traceback

from eocore.command import let_first_rank_speak
from eocore.errors import EOError, SampleError, UnforeseenError, describe_unforeseen
from eocore.log import get_logger
from eocore.train.resilience.loader_errors import ProcessTrace


def show_failure(error: EOError) -> None:
    """Logs class and text of `error`, as the last thing on the screen; the trace of its cause comes before where nobody foresaw it.

    A rank that failed after another is silent. Where ranks do not know of each other, the first one speaks for all: most errors then
    (a wrong config, missing data) are every rank's. The others wait, and speak if they are still there.
    """
    if error.told_first is False:
        return
    rank, several = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")) > 1
    if error.told_first is None:
        let_first_rank_speak()
    if isinstance(error, SampleError | UnforeseenError) and error.__cause__ is not None:
        _show_trace(error.__cause__)
    kind = "" if isinstance(error, UnforeseenError) else f"{type(error).__name__}: "
    get_logger().error("%s%s%s", f"rank {rank}: " if several else "", kind, error)


def as_unforeseen(error: Exception) -> UnforeseenError:
    """An error of any class as one that `show_failure` shows: its trace first, then what it says in one line."""
    found = UnforeseenError(
        f"{describe_unforeseen(error)}. The training cannot continue: a fault of the program or of the machine, or an input of a kind it "
        "has not met. The trace is above; checkpoints stand, resume from them with --resume."
    )
    found.__cause__ = error
    found.told_first = getattr(error, "told_first", None)
    return found


def show_interrupt() -> None:
    """Says that Ctrl-C ended a dry run, or a training that had not begun."""
    if int(os.environ.get("RANK", "0")) == 0:
        get_logger().warning("Ctrl-C before the training began, or in a dry run: nothing was written.")


def _show_trace(cause: BaseException) -> None:
    """The trace on stderr; the logger would write it as one line."""
    text = str(cause) if isinstance(cause, ProcessTrace) else "".join(traceback.format_exception(cause))
    sys.stderr.write(f"{text.rstrip()}\n\n")
