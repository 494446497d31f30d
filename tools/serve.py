"""Serves models to people and programs; see eocore/commands/serve.py."""

import sys

from eocore.commands.serve import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
