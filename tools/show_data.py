"""Draws samples of a config's datasets; see eocore/commands/show_data.py."""

import sys

from eocore.commands.show_data import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
