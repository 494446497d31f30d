"""So2Sat LCZ42's HDF5 file -> a GeoTIFF a patch and sensor, and its class: python tools/prepare/so2sat.py --source testing.h5"""

import argparse
import sys
from pathlib import Path

from rich.progress import Progress

from eocore.errors import EOError
from eocore.evaluate.releases.patches import prepare_so2sat


def main() -> int:
    """Arguments, one call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, metavar="FILE", help="testing.h5 (or validation.h5)")
    parser.add_argument("--out", type=Path, default=Path("data/so2sat"), metavar="DIR", help="folder to write to")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N patches")
    arguments = parser.parse_args()
    try:
        with Progress() as progress:
            bar = progress.add_task("patches", total=None)
            counts = prepare_so2sat(arguments.source, arguments.out, limit=arguments.limit, on_patch=lambda: progress.advance(bar))
    except EOError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: " + ", ".join(f"{name} {number}" for name, number in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
