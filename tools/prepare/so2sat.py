"""So2Sat LCZ42's HDF5 file -> a GeoTIFF a patch and sensor, and its class: python tools/prepare/so2sat.py --source testing.h5"""

import argparse
import sys
from pathlib import Path

from eocore.command import command
from eocore.converters.command import counting, show_counts
from eocore.converters.patches import prepare_so2sat


@command
def main() -> None:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, metavar="FILE", help="testing.h5 (or validation.h5)")
    parser.add_argument("--out", type=Path, default=Path("data/so2sat"), metavar="DIR", help="folder to write to")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N patches")
    arguments = parser.parse_args()
    with counting("patches") as advance:
        counts = prepare_so2sat(arguments.source, arguments.out, limit=arguments.limit, on_patch=advance)
    show_counts(arguments.out, counts)


if __name__ == "__main__":
    sys.exit(main())
