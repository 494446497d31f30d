"""Trains what a config describes; see eocore/commands/train.py."""

import sys

from eocore.commands.train import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
