"""A conversation with a converted model about images; see eocore/commands/chat.py."""

import sys

from eocore.commands.chat import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
