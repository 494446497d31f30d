"""Makes a Hugging Face folder of a training checkpoint; see eocore/commands/convert.py."""

import sys

from eocore.commands.convert import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
