"""`eo`: every command of the project; `eo COMMAND --help` says more. Also: python -m eocore.commands."""

import sys

from eocore.commands.catalogue import EO


def main() -> int:
    """Runs the command that the command line names; returns the exit status."""
    return EO()


if __name__ == "__main__":
    sys.exit(main())
