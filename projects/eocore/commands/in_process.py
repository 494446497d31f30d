"""A command inside a process that goes on, such as a notebook's: what it says goes to a file."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from eocore.commands.catalogue import EO
from eocore.errors import EOError

SHOWN_LINES = 20
"""Of the file's end, where a command fails."""
OUTPUTS = (1, 2)
"""Descriptors of stdout and stderr, to which compilers and other programs write past Python."""


class CommandError(EOError):
    """A command ended with another status than 0."""


def run_command(words: str, *, log: Path) -> None:
    """Runs what `eo WORDS` runs in a shell.

    Args:
        words: name and arguments, quoted as in a shell.
        log: the file to append to.

    Raises:
        CommandError: it fails; the text ends with the last lines of what it said.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with _writing_to(log):
        try:
            status = EO(shlex.split(words))
        except SystemExit as ended:  # of argparse
            status = int(ended.code or 0)
    if status:
        said = "\n".join(log.read_text(encoding="utf-8").splitlines()[-SHOWN_LINES:])
        raise CommandError(f"eo {words}\nended with status {status}, not 0. The last it said, of {log}:\n{said}")


@contextmanager
def _writing_to(path: Path) -> Iterator[None]:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = [os.dup(number) for number in OUTPUTS]
    with path.open("a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        try:
            for number in OUTPUTS:
                os.dup2(file.fileno(), number)
            yield
        finally:
            for number, other in zip(OUTPUTS, kept, strict=True):
                os.dup2(other, number)
                os.close(other)
