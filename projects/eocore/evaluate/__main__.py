"""Evaluation from the command line: python -m eocore.evaluate COMMAND, or eo evaluate COMMAND; COMMAND --help says more."""

import sys

from eocore.command import CommandGroup, Entry, Runnable


def _run() -> Runnable:
    from eocore.evaluate.commands.run import COMMAND

    return COMMAND


def _merge() -> Runnable:
    from eocore.evaluate.commands.merge import COMMAND

    return COMMAND


def _score() -> Runnable:
    from eocore.evaluate.commands.score import COMMAND

    return COMMAND


def _compare() -> Runnable:
    from eocore.evaluate.commands.compare import COMMAND

    return COMMAND


def _report() -> Runnable:
    from eocore.evaluate.commands.report import COMMAND

    return COMMAND


COMMANDS = {
    "run": Entry("predict benchmarks with a converted model and score them", _run),
    "merge": Entry("merge the shards of a run and score them; needs no model", _merge),
    "score": Entry("scores of a predictions file; needs no model", _score),
    "compare": Entry("paired difference of two predictions files", _compare),
    "report": Entry("write report.html and report.md of a run", _report),
}
"""One per file of eocore/evaluate/commands."""
main = CommandGroup("python -m eocore.evaluate", COMMANDS)

if __name__ == "__main__":
    sys.exit(main())
