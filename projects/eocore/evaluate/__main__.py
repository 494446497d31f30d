"""Evaluation from the command line: python -m eocore.evaluate COMMAND; COMMAND --help says more."""

import argparse
import sys
from collections.abc import Sequence

from eocore.command import command
from eocore.evaluate.commands import compare, merge, report, run, score
from eocore.evaluate.commands.command import Command

COMMANDS: tuple[Command, ...] = (run.COMMAND, merge.COMMAND, score.COMMAND, compare.COMMAND, report.COMMAND)
"""One per file of eocore/evaluate/commands."""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="python -m eocore.evaluate", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for entry in COMMANDS:
        part = subparsers.add_parser(entry.name, help=entry.summary, description=entry.description or entry.summary)
        entry.add_arguments(part)
        part.set_defaults(run=entry.run)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        words: of the command line; None takes those of the process.

    Returns:
        Exit status: 0, or 1 where an input cannot be used (argparse itself ends with 2).
    """
    arguments = build_parser().parse_args(words)
    return command(lambda: int(arguments.run(arguments)))()


if __name__ == "__main__":
    sys.exit(main())
