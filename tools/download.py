"""Fetches upstream weights and data sets from the Hugging Face hub; see eocore/commands/download.py."""

import sys

from eocore.commands.download import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
