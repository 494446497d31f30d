"""Writes the report of an evaluation; see eocore/commands/report.py."""

import sys

from eocore.commands.report import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
