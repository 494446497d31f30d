"""RRSIS-D as released -> the folder that is read: python tools/prepare/rrsisd.py --source RELEASE --out data/Refer_Segm/rrsisd"""

import sys
from pathlib import Path

from eocore.command import command
from eocore.converters.command import release_parser, show_counts
from eocore.converters.referring import prepare_rrsisd


@command
def main() -> None:
    """Runs the command; returns the exit status."""
    arguments = release_parser(__doc__, holds="rrsisd/ and images/rrsisd/JPEGImages/", out=Path("data/Refer_Segm/rrsisd")).parse_args()
    show_counts(arguments.out, prepare_rrsisd(arguments.source, arguments.out, copy=arguments.copy))


if __name__ == "__main__":
    sys.exit(main())
