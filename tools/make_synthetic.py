"""Writes the synthetic world; see eocore/commands/make_synthetic.py."""

import sys

from eocore.commands.make_synthetic import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
