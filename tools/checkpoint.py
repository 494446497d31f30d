"""Lists, verifies, shows, compares and converts training checkpoints; see eocore/commands/checkpoint.py."""

import sys

from eocore.commands.checkpoint import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
