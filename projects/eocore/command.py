"""What all commands share: their form, the exit status, and how an error that the user can put right is shown."""

import argparse
import difflib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Protocol

from eocore.errors import EOError, OutputError
from eocore.files import describe_failure

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as shells have it."""
USAGE_ERROR = 2
"""Exit status where the command line is wrong, as argparse ends."""
LAUNCHER_NOTICES_S = 15.0
"""torchrun ends the processes that are left once one has ended, which takes seconds from its last words on a busy machine."""


def let_first_rank_speak() -> None:
    """Waits, on every rank but the first of several, for the launcher to end this process; most errors are every rank's.

    Comes back where this process is still there: then the first rank has not failed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and int(os.environ.get("RANK", "0")) > 0:
        time.sleep(LAUNCHER_NOTICES_S)


def command(main: Callable[[], int | None]) -> Callable[[], int]:
    """`main` as a program's: returns the exit status.

    Args:
        main: does the work and returns the status, None = 0.

    Returns:
        A function that returns the status of `main`, or 1 where it raises an `EOError`: stderr gets its class and text, no trace.
        A disk that is full or may not be written to is such an error too, whoever met it; Ctrl-C is one line and status 130. On several
        ranks the first one speaks.
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
        except KeyboardInterrupt:
            sys.stderr.write("ended by Ctrl-C.\n")
            return INTERRUPTED

    return run


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
        parser = argparse.ArgumentParser(prog=prog, description=self.description)
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
