"""RRSIS-D as released -> the folder that is read: python tools/prepare/rrsisd.py --source RELEASE --out data/Refer_Segm/rrsisd"""

import argparse
import sys
from pathlib import Path

from eocore.errors import EOError
from eocore.evaluate.releases.referring import prepare_rrsisd


def main() -> int:
    """Arguments, one call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder with rrsisd/ and images/rrsisd/JPEGImages/")
    parser.add_argument("--out", type=Path, default=Path("data/Refer_Segm/rrsisd"), metavar="DIR", help="folder to write to")
    parser.add_argument("--copy", action="store_true", help="copy the images instead of linking their folder")
    arguments = parser.parse_args()
    try:
        counts = prepare_rrsisd(arguments.source, arguments.out, copy=arguments.copy)
    except EOError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: " + ", ".join(f"{split} {number}" for split, number in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
