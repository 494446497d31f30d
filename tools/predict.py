"""Asks a converted model about image files; see eocore/commands/predict.py."""

import sys

from eocore.commands.predict import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
