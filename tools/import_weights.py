"""Imports upstream weights into a folder of this project's layout; see eocore/commands/import_weights.py."""

import sys

from eocore.commands.import_weights import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
