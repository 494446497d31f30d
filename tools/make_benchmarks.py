"""Write made-up test sets in the published layouts, to try the evaluation without a download: python tools/make_benchmarks.py --out DIR"""

import argparse
from pathlib import Path

from rich.progress import Progress

from eocore.synthetic.test_sets.catalogue import write_published


def main() -> None:
    """Arguments, one call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="data folder to write to")
    parser.add_argument("--scenes", type=int, default=4, help="scenes the sets are made of (default: %(default)s)")
    parser.add_argument("--size", type=int, default=96, help="side of a scene [px] (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes")
    arguments = parser.parse_args()
    with Progress() as progress:
        bar = progress.add_task("sets", total=None)
        write_published(
            arguments.out,
            num_scenes=arguments.scenes,
            size=arguments.size,
            seed=arguments.seed,
            on_set=lambda name: progress.update(bar, advance=1, description=name),
        )
    print(arguments.out)


if __name__ == "__main__":
    main()
