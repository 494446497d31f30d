"""Makes a config of one's own images and table; see eocore/commands/new_dataset.py."""

import sys

from eocore.commands.new_dataset import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
