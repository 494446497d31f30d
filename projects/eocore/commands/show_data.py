"""Draws some samples of each of a config's datasets: every image for display, with masks and boxes, and the words beside.

Writes a picture for each dataset and index.html; where the training augments, also some of its samples before and after. SAR is shown in
grey, masks half transparent with their outlines.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command, say
from eocore.commands.arguments import add_config, positive, read_config

if TYPE_CHECKING:
    from mmengine.config import Config

    from eocore.evaluate.reporting.pages import SampleRow

DEFAULT_COUNT = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_config(parser)
    parser.add_argument("--out", type=Path, help="folder for the pictures (default: work_dirs/<config name>/data_samples)")
    parser.add_argument("--count", type=positive, default=DEFAULT_COUNT, metavar="N", help="samples of each dataset (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Draws; 1 where a dataset cannot be read."""
    from eocore.checks.datasets import find_datasets, open_dataset
    from eocore.checks.report import show_datasets
    from eocore.files import require_writable
    from eocore.log import plain_line
    from eocore.system import systems_of_config

    config = read_config(arguments)
    systems_of_config(config)
    out = arguments.out or Path("work_dirs") / arguments.config.stem / "data_samples"
    require_writable(out, "the pictures")
    opened = [open_dataset(found) for found in find_datasets(config.to_dict())]
    augmented = augmented_samples(config, arguments.count)
    say(show_datasets(opened, out, title=f"Samples of {arguments.config.name}", count=arguments.count, augmented=augmented))
    broken = [facts for facts, dataset in opened if dataset is None]
    for facts in broken:
        say(f"  not shown: {facts.name}: {plain_line(facts.problems[0].message if facts.problems else 'no good record')}")
    return 1 if broken else 0


def augmented_samples(config: "Config", count: int) -> "list[SampleRow]":
    """Rows of training samples before and after augmentation; none where the config does not augment, or its training cannot be built."""
    from eocore.checks.sample_pictures import augmented_rows
    from eocore.checks.samples import augments, open_samples
    from eocore.config import require
    from eocore.log import plain_line

    if not augments(config):
        return []
    facts, samples = open_samples(config)
    if samples is None:
        say(f"  augmentation not shown: {plain_line(facts.problems[0].message)}")
        return []
    return augmented_rows(samples.prepared.dataset, count, seed=require(config, "seed"))


COMMAND = Command(name="show-data", description=__doc__, add_arguments=add_arguments, run=run)
