"""Maps a whole scene; see eocore/commands/map_scene.py."""

import sys

from eocore.commands.map_scene import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
