"""Evaluates a converted model as a config says; see eocore/commands/test.py."""

import sys

from eocore.commands.test import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
