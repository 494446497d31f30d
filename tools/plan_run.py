"""Plans a training that packs its samples; see eocore/commands/plan_run.py."""

import sys

from eocore.commands.plan_run import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
