"""Reads every record of a config's datasets before a training does: which are broken, where they are, and what the data is like.

The samples of the training's first epoch (--epochs: of more) are made as the training makes them, so that whatever it would refuse
is found. Writes report.html, report.json and pictures. Ends with status 1 where anything is broken.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command, say
from eocore.commands.arguments import add_config, not_negative, positive, read_config

if TYPE_CHECKING:
    from mmengine.config import Config

    from eocore.checks.facts import DatasetFacts
    from eocore.checks.report import Opened

MAX_PRINTED = 20
NUM_SHOWN = 4
"""Samples of each dataset in the report; `eo show-data` draws more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_config(parser)
    parser.add_argument("--out", type=Path, help="folder for the report (default: work_dirs/<config name>/data_check)")
    parser.add_argument(
        "--workers", type=not_negative, default=os.cpu_count() or 1, help="processes that read; 0 reads in this one (default: one a core)"
    )
    parser.add_argument("--epochs", type=positive, default=1, metavar="N", help="epochs whose samples are made (default: %(default)s)")


def check(config: "Config", num_workers: int, *, epochs: int = 1) -> "Opened":
    """What was found in each dataset, and in the samples of the training's first epochs where the config describes one."""
    from eocore.checks.config_data import open_datasets, read_datasets
    from eocore.checks.samples import check_samples, count_unsafe_words, open_samples, trains
    from eocore.progress import Progress

    opened = open_datasets(config)
    made = [open_samples(config)] if trains(config) else []
    total = sum(len(part) for _, part in opened if part) + sum(epochs * len(part) for _, part in made if part)
    with Progress("checking", total, unit="records") as progress:
        read_datasets(opened, num_workers=num_workers, on_group=progress.advance)
        known = [problem for facts, _ in opened for problem in facts.problems]
        for facts, samples in made:
            if samples:
                count_unsafe_words(samples, facts)
                check_samples(samples, facts, known=known, num_workers=num_workers, on_sample=progress.advance, epochs=epochs)
    return [*opened, *((facts, None) for facts, _ in made)]


def run(arguments: argparse.Namespace) -> int:
    """Reads, prints what was found, writes the report; 1 where anything is broken."""
    from eocore.checks.report import summary_table, write_report
    from eocore.checks.sample_pictures import sample_rows
    from eocore.checks.samples import trains
    from eocore.files import require_writable

    config = read_config(arguments)
    out = arguments.out or Path("work_dirs") / arguments.config.stem / "data_check"
    require_writable(out, "the report")
    opened = check(config, arguments.workers, epochs=arguments.epochs)
    found = [facts for facts, _ in opened]
    samples = {facts.name: sample_rows(dataset, NUM_SHOWN) for facts, dataset in opened if dataset}
    page = write_report(found, out, title=f"Data of {arguments.config.name}", samples=samples)
    for row in summary_table(found).rows:
        counts = f"{row[2]} records, {row[3]} image files, {row[4]} broken ({row[5]})"
        say(f"{row[0]} ({row[1]}): {counts}; {row[6]}; words {row[7]}; masks {row[8]}")
    _print_problems(found)
    if trains(config) and arguments.epochs == 1:
        say("Samples were made for the first epoch; in later ones transforms draw anew: --epochs N makes N.")
    say(page)
    return 1 if any(facts.problems for facts in found) else 0


def _print_problems(found: "list[DatasetFacts]") -> None:
    from eocore.checks.grouping import group_problems
    from eocore.log import plain_line

    groups = group_problems([problem for facts in found for problem in facts.problems])
    for group in groups[:MAX_PRINTED]:
        others = f" and {group.num_records - 1:,} more" if group.num_records > 1 else ""
        say(f"  {group.first.kind}: {plain_line(group.first.locations[0])}{others}: {plain_line(group.first.what)}")
    if len(groups) > MAX_PRINTED:
        say(f"  ... and {len(groups) - MAX_PRINTED} kinds of problems more")
    for facts in found:
        for warning in facts.warnings:
            say(f"  look at this: {facts.name}: {plain_line(warning)}")


COMMAND = Command(name="check-data", description=__doc__, add_arguments=add_arguments, run=run)
