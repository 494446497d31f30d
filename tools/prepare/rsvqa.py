"""RSVQA as released -> JSON lines by split: python tools/prepare/rsvqa.py --source DIR --images DIR --prefix LR_split --out DIR"""

import sys
from pathlib import Path

from eocore.command import command
from eocore.converters.command import release_parser, show_counts
from eocore.converters.questions import prepare_rsvqa


@command
def main() -> None:
    """Runs the command; returns the exit status."""
    parser = release_parser(__doc__, holds="PREFIX_<split>_questions.json and _answers.json")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of <image id>.tif")
    parser.add_argument("--prefix", default="LR_split", help="of the files: LR_split or USGS_split (default: %(default)s)")
    arguments = parser.parse_args()
    counts = prepare_rsvqa(arguments.source, arguments.out, images=arguments.images, prefix=arguments.prefix, copy=arguments.copy)
    show_counts(arguments.out, counts)


if __name__ == "__main__":
    sys.exit(main())
