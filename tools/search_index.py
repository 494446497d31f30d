"""Builds, extends and asks indexes of image and caption vectors; see eocore/commands/search_index.py."""

import sys

from eocore.commands.search_index import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
