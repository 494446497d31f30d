"""Writes made-up test sets in the upstream layouts, to try the evaluation without a download."""

import argparse
from pathlib import Path

from eocore.command import Command, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="data folder to write to")
    parser.add_argument("--scenes", type=int, default=4, help="scenes the sets are made of (default: %(default)s)")
    parser.add_argument("--size", type=int, default=96, help="side of a scene [px] (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes")


def run(arguments: argparse.Namespace) -> None:
    """Writes the sets and prints their folder."""
    from rich.progress import Progress

    from eocore.synthetic.test_sets.catalogue import write_published

    with Progress() as progress:
        bar = progress.add_task("sets", total=None)
        write_published(
            arguments.out,
            num_scenes=arguments.scenes,
            size=arguments.size,
            seed=arguments.seed,
            on_set=lambda name: progress.update(bar, advance=1, description=name),
        )
    say(arguments.out)


COMMAND = Command(name="make-benchmarks", description=__doc__, add_arguments=add_arguments, run=run)
