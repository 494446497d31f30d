"""Estimates the memory of a training from its config; see eocore/commands/estimate_memory.py."""

import sys

from eocore.commands.estimate_memory import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
