"""Measures answers in batches against answers one by one; see eocore/commands/measure_throughput.py."""

import sys

from eocore.commands.measure_throughput import COMMAND

if __name__ == "__main__":
    sys.exit(COMMAND())
