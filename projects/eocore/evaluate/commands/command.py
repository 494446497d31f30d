"""What a file of this folder gives: one subcommand of `python -m eocore.evaluate`."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One subcommand; to add one, write its file and name it in `eocore.evaluate.__main__.COMMANDS`.

    Attributes:
        name: as typed.
        summary: one line, for the list of commands.
        add_arguments: fills the subcommand's parser.
        run: does the work with the parsed arguments and gives the exit status; raises `EOError` for what the user can put right.
        description: for `COMMAND --help`; the summary where empty.
    """

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    description: str = ""
