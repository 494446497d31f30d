"""RSVQA as released -> JSON lines by split: python tools/prepare/rsvqa.py --source DIR --images DIR --prefix LR_split --out DIR"""

import argparse
import sys
from pathlib import Path

from eocore.errors import EOError
from eocore.evaluate.releases.questions import prepare_rsvqa


def main() -> int:
    """Arguments, one call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--source", type=Path, required=True, metavar="DIR", help="folder of PREFIX_<split>_questions.json and _answers.json"
    )
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of <image id>.tif")
    parser.add_argument("--prefix", default="LR_split", help="of the files: LR_split or USGS_split (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--copy", action="store_true", help="copy the images instead of linking them")
    arguments = parser.parse_args()
    try:
        counts = prepare_rsvqa(arguments.source, arguments.out, images=arguments.images, prefix=arguments.prefix, copy=arguments.copy)
    except EOError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: " + ", ".join(f"{split} {number}" for split, number in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
