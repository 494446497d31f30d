"""What all commands share: their form, the exit status, and how an error that the user can put right is shown."""

import argparse
import difflib
import os
import re
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Any, Protocol

from eocore.errors import EOError, OutputError, UnforeseenError, describe_unforeseen
from eocore.files import describe_failure
from eocore.notices import silence_notices

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as shells have it."""
OUTPUT_CLOSED = 141
"""Exit status where the reader of the output has gone (`eo ... | head`): 128 + SIGPIPE, as shells have it."""
USAGE_ERROR = 2
"""Exit status where the command line is wrong, as argparse ends."""
LAUNCHER_NOTICES_S = 15.0
"""torchrun ends the processes that are left once one has ended, which takes seconds from its last words on a busy machine."""


PEER_LOST = re.compile("closed by peer|reset by peer|remote process exited|DistBackendError|Broken pipe|NCCL communicator was aborted")
"""What gloo and NCCL say on a rank whose peer has gone: the peer's error is the one to read."""


def let_first_rank_speak(error: BaseException | None = None) -> None:
    """Waits, on every rank but the first of several, for the launcher to end this process; most errors are every rank's.

    Comes back where this process is still there: then the first rank has not failed. The first one waits too where its error is that
    another rank has gone, which has said why.
    """
    is_first = int(os.environ.get("RANK", "0")) == 0
    follows = error is not None and bool(PEER_LOST.search(f"{type(error).__name__} {error}"))
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and (follows or not is_first):
        with suppress(ValueError):  # outside of the main thread
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # what the launcher ends this process with is no longer an order to save
        time.sleep(LAUNCHER_NOTICES_S)


def command(main: Callable[[], int | None]) -> Callable[[], int]:
    """`main` as a program's: returns the exit status.

    Args:
        main: does the work and returns the status, None = 0.

    Returns:
        A function that returns the status of `main`, or 1 where it raises an `EOError`: stderr gets its class and text, no trace.
        A disk that is full or may not be written to is such an error too, whoever met it; Ctrl-C is one line and status 130. Any other
        error is shown with its trace, and a last line that says what to do. On several ranks the first one speaks.
    """

    @wraps(main)
    def run() -> int:
        silence_notices()
        try:
            return main() or 0
        except Exception as error:  # whatever it is, its last line says what to do
            if isinstance(error, BrokenPipeError) and _output_is_closed():
                return OUTPUT_CLOSED
            let_first_rank_speak(error)
            sys.stderr.write(_describe_error(error))
            return 1
        except KeyboardInterrupt:
            sys.stderr.write("ended by Ctrl-C.\n")
            return INTERRUPTED

    return run


def _describe_error(error: Exception) -> str:
    """What stderr gets of `error`: one line where it was foreseen, else the trace before it."""
    if isinstance(error, EOError):
        return f"{type(error).__name__}: {error}\n"
    problem = describe_failure(error) if isinstance(error, OSError) else None
    if problem is not None:
        return f"{OutputError.__name__}: {problem}\n"
    trace = "".join(traceback.format_exception(error))
    return (
        f"{trace}\n{UnforeseenError.__name__}: {describe_unforeseen(error)}. Nobody foresaw this: an input of a kind that the command "
        "has not met, or a fault of the program or of the machine. Check the files and options that the trace above shows; if they are "
        "right, report it with the command line.\n"
    )


def _output_is_closed() -> bool:
    """Whether nobody reads stdout any more; it then leads nowhere, so that Python does not fail in writing the rest at its end."""
    output = sys.stdout.fileno()
    poll = select.poll()
    poll.register(output, 0)  # a pipe without a reader is reported whatever is asked for
    if not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True


class CommandParser(argparse.ArgumentParser):
    """argparse's, which refuses an empty path: `Path("")` would be the current folder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.register("type", Path, _path)


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the path is empty (a shell variable without a value?). Give a path; '.' is the current folder.")
    return Path(text)


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command; what it needs is imported when it runs, so that its --help is there at once.

    Attributes:
        name: as typed.
        description: for its --help; the first line says what it does.
        add_arguments: fills its parser.
        run: does the work with the parsed arguments, of which `words` are those of the command line, and returns the exit status,
            None = 0; raises `EOError` for what the user can put right.
    """

    name: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]

    def __call__(self, words: Sequence[str] | None = None, *, prog: str | None = None) -> int:
        """Runs the command.

        Args:
            words: of the command line; None takes those of the process.
            prog: what usage messages call the program; None = the file that runs.

        Returns:
            The exit status: 0, or 1 where an input cannot be used. argparse itself ends with 2.
        """
        parser = CommandParser(prog=prog, description=self.description)
        self.add_arguments(parser)
        arguments = parser.parse_args(words)
        arguments.words = list(sys.argv[1:] if words is None else words)
        return command(partial(self.run, arguments))()


class Runnable(Protocol):
    """A `Command`, or a group of them."""

    def __call__(self, words: Sequence[str] | None = None, *, prog: str | None = None) -> int:
        """Runs with the words of a command line; returns the exit status."""


@dataclass(frozen=True)
class Entry:
    """A command that is not imported yet.

    Attributes:
        summary: what it does, in a line.
        load: imports it.
    """

    summary: str
    load: Callable[[], Runnable]


@dataclass(frozen=True)
class CommandGroup:
    """Commands under one name; of those that are not called nothing is imported.

    Attributes:
        prog: the name.
        commands: by what is typed after it.
    """

    prog: str
    commands: Mapping[str, Entry]

    def __call__(self, words: Sequence[str] | None = None, *, prog: str | None = None) -> int:
        """Runs one command; see `Command`. Returns 2 where there is no such command."""
        prog = prog or self.prog
        name, *rest = (sys.argv[1:] if words is None else words) or ["--help"]
        if name in ("-h", "--help"):
            say(self.describe(prog))
            return 0
        if name not in self.commands:
            near = difflib.get_close_matches(name, self.commands, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            sys.stderr.write(f"{prog}: no command '{name}'.{hint} Commands: {', '.join(self.commands)}.\n")
            return USAGE_ERROR
        return self.commands[name].load()(rest, prog=f"{prog} {name}")

    def describe(self, prog: str) -> str:
        """The commands, a line each."""
        width = max(map(len, self.commands))
        lines = [f"  {name:<{width}}  {entry.summary}" for name, entry in self.commands.items()]
        return "\n".join([f"usage: {prog} COMMAND [arguments]", "", *lines, "", f"{prog} COMMAND --help says more."])


def say(*lines: object) -> None:
    """Writes lines to stdout for the user of a command, at once."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
