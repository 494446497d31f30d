"""BigEarthNet folders -> one file of all bands a patch, and its classes: python tools/prepare/bigearthnet.py --s2 DIR --split test.csv"""

import argparse
import sys
from pathlib import Path

from eocore.command import command
from eocore.converters.bigearthnet import prepare_bigearthnet, read_split
from eocore.converters.command import counting, show_counts


@command
def main() -> None:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--s2", type=Path, required=True, metavar="DIR", help="folder of BigEarthNet-S2, version 1 or 2")
    parser.add_argument("--s1", type=Path, metavar="DIR", help="folder of BigEarthNet-S1; left out where not given")
    parser.add_argument("--split", type=Path, required=True, metavar="CSV", help="the patches, one a line; metadata.parquet of version 2")
    parser.add_argument("--part", default="test", metavar="NAME", help="part of metadata.parquet (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("data/bigearthnet"), metavar="DIR", help="folder to write to")
    arguments = parser.parse_args()
    where = {"out": arguments.out, "s1": arguments.s1, "part": arguments.part}
    with counting("patches", len(read_split(arguments.split, arguments.part))) as advance:
        counts = prepare_bigearthnet(arguments.s2, arguments.split, **where, on_patch=advance)
    show_counts(arguments.out, counts)


if __name__ == "__main__":
    sys.exit(main())
