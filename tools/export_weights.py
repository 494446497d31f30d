"""Writes a model in an upstream layout; see eocore/commands/export_weights.py."""

import sys

from eocore.commands.export_weights import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
