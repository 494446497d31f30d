"""RefSegRS as released -> the REFER form: python tools/prepare/refsegrs.py --source RELEASE --out data/Refer_Segm/refsegrs"""

import sys
from pathlib import Path

from eocore.command import command
from eocore.converters.command import prepare_phrase_release


@command
def main() -> None:
    """Runs the command; returns the exit status."""
    prepare_phrase_release(__doc__, images="images", masks="masks", out=Path("data/Refer_Segm/refsegrs"))


if __name__ == "__main__":
    sys.exit(main())
