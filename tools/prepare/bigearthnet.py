"""BigEarthNet folders -> one file of all bands a patch, and its classes: python tools/prepare/bigearthnet.py --s2 DIR --split test.csv"""

import argparse
import sys
from pathlib import Path

from rich.progress import Progress

from eocore.errors import EOError
from eocore.evaluate.releases.patches import prepare_bigearthnet, read_split


def main() -> int:
    """Arguments, one call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--s2", type=Path, required=True, metavar="DIR", help="folder of BigEarthNet-S2 (version 1: a folder a patch)")
    parser.add_argument("--s1", type=Path, metavar="DIR", help="folder of BigEarthNet-S1; left out where not given")
    parser.add_argument("--split", type=Path, required=True, metavar="CSV", help="the patches to take, one a line")
    parser.add_argument("--out", type=Path, default=Path("data/bigearthnet"), metavar="DIR", help="folder to write to")
    arguments = parser.parse_args()
    try:
        with Progress() as progress:
            bar = progress.add_task("patches", total=len(read_split(arguments.split)))
            counts = prepare_bigearthnet(
                arguments.s2, arguments.split, arguments.out, s1=arguments.s1, on_patch=lambda: progress.advance(bar)
            )
    except EOError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: " + ", ".join(f"{name} {number}" for name, number in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
