"""Writes made-up test sets; see eocore/commands/make_benchmarks.py."""

import sys

from eocore.commands.make_benchmarks import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
