"""Reads every record of a config's datasets; see eocore/commands/check_data.py."""

import sys

from eocore.commands.check_data import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
