"""Shards of SSL4EO-S12 v1.1 -> index of samples: python tools/prepare/ssl4eo.py --source DIR/train/S2L2A --out train_S2L2A.json"""

import argparse
import sys
from pathlib import Path

from eocore.command import command
from eocore.converters.command import counting, show_counts
from eocore.converters.ssl4eo import index_shards


@command
def main() -> None:
    """Runs the command; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder of the shards of one modality")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON file to write; `index` of an image source names it")
    arguments = parser.parse_args()
    with counting("shards") as advance:
        count = index_shards(arguments.source, arguments.out, advance=advance)
    show_counts(arguments.out, {"samples": count})


if __name__ == "__main__":
    sys.exit(main())
