"""Embeds the windows of whole scenes; see eocore/commands/embed_scenes.py."""

import sys

from eocore.commands.embed_scenes import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
