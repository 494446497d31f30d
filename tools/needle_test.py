"""Asks a model for a sign hidden in one of many tiles; see eocore/commands/needle_test.py."""

import sys

from eocore.commands.needle_test import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
