"""Makes a folder of this project's layout of upstream weights; see eocore/commands/import_weights.py."""

import sys

from eocore.commands.import_weights import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
