"""Prints a config with its _base_ files merged; see eocore/commands/print_config.py."""

import sys

from eocore.commands.print_config import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
