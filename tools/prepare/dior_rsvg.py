"""DIOR-RSVG as released -> JSON lines by split: python tools/prepare/dior_rsvg.py --source RELEASE --out data/dior_rsvg_lines"""

import sys

from eocore.command import command
from eocore.converters.command import release_parser, show_counts
from eocore.converters.questions import prepare_dior_rsvg


@command
def main() -> None:
    """Runs the command; returns the exit status."""
    arguments = release_parser(__doc__, holds="Annotations/, JPEGImages/, test.txt").parse_args()
    show_counts(arguments.out, prepare_dior_rsvg(arguments.source, arguments.out, copy=arguments.copy))


if __name__ == "__main__":
    sys.exit(main())
