"""RISBench as released -> the REFER form: python tools/prepare/risbench.py --source RELEASE --out data/Refer_Segm/risbench"""

import argparse
import sys
from pathlib import Path

from rich.progress import Progress

from eocore.errors import EOError
from eocore.evaluate.releases.referring import count_phrases, prepare_phrases


def main() -> int:
    """Arguments, one call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--source", type=Path, required=True, metavar="DIR", help="folder with img_rgb/, mask/ and output_phrase_{train,val,test}.txt"
    )
    parser.add_argument("--out", type=Path, default=Path("data/Refer_Segm/risbench"), metavar="DIR", help="folder to write to")
    parser.add_argument("--copy", action="store_true", help="copy the images instead of linking their folder")
    arguments = parser.parse_args()
    try:
        with Progress() as progress:
            bar = progress.add_task("phrases", total=count_phrases(arguments.source))
            counts = prepare_phrases(
                arguments.source,
                arguments.out,
                images="img_rgb",
                masks="mask",
                copy=arguments.copy,
                on_phrase=lambda: progress.advance(bar),
            )
    except EOError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: " + ", ".join(f"{split} {number}" for split, number in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
