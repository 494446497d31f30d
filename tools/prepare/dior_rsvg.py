"""DIOR-RSVG as released -> JSON lines by split: python tools/prepare/dior_rsvg.py --source RELEASE --out data/dior_rsvg_lines"""

import argparse
import sys
from pathlib import Path

from eocore.errors import EOError
from eocore.evaluate.releases.questions import prepare_dior_rsvg


def main() -> int:
    """Arguments, one call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder with Annotations/, JPEGImages/, test.txt")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--copy", action="store_true", help="copy the images instead of linking them")
    arguments = parser.parse_args()
    try:
        counts = prepare_dior_rsvg(arguments.source, arguments.out, copy=arguments.copy)
    except EOError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: " + ", ".join(f"{split} {number}" for split, number in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
