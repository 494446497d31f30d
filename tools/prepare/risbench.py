"""RISBench as released -> the REFER form: python tools/prepare/risbench.py --source RELEASE --out data/Refer_Segm/risbench"""

import sys
from pathlib import Path

from eocore.command import command
from eocore.converters.command import prepare_phrase_release


@command
def main() -> None:
    """Runs the command; returns the exit status."""
    prepare_phrase_release(__doc__, images="img_rgb", masks="mask", out=Path("data/Refer_Segm/risbench"))


if __name__ == "__main__":
    sys.exit(main())
