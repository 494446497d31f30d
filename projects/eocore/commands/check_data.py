"""Reads every record of a config's datasets before a training does: which are broken, where they are, and what the data is like.

Writes report.html, report.json and pictures. Ends with status 1 where anything is broken.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command, say
from eocore.commands.arguments import add_config, read_config

if TYPE_CHECKING:
    from eocore.checks.datasets import DatasetFacts

MAX_PRINTED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_config(parser)
    parser.add_argument("--out", type=Path, help="folder for the report (default: work_dirs/<config name>/data_check)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that read (default: one a core)")


def check(arguments: argparse.Namespace) -> "list[DatasetFacts]":
    """What was found in each dataset."""
    from eocore.checks.datasets import find_datasets, open_dataset, read_dataset
    from eocore.progress import Progress
    from eocore.system import systems_of_config

    config = read_config(arguments)
    systems_of_config(config)
    opened = [open_dataset(dataset) for dataset in find_datasets(config.to_dict())]
    total = sum(len(dataset) for _, dataset in opened if dataset)
    with Progress("checking", total, unit="records") as progress:
        for facts, dataset in opened:
            if dataset:
                read_dataset(dataset, facts, num_workers=arguments.workers, on_group=progress.advance)
    return [facts for facts, _ in opened]


def run(arguments: argparse.Namespace) -> int:
    """Reads, prints what was found, writes the report; 1 where anything is broken."""
    from eocore.checks.report import summary_table, write_report
    from eocore.log import plain_line

    found = check(arguments)
    out = arguments.out or Path("work_dirs") / arguments.config.stem / "data_check"
    page = write_report(found, out, title=f"Data of {arguments.config.name}")
    for row in summary_table(found).rows:
        counts = f"{row[2]} records, {row[3]} image files, {row[4]} broken ({row[5]})"
        say(f"{row[0]} ({row[1]}): {counts}; {row[6]}; tokens {row[7]}; masks {row[8]}")
    problems = [problem for facts in found for problem in facts.problems]
    for problem in problems[:MAX_PRINTED]:
        others = f" and {len(problem.locations) - 1} more" if len(problem.locations) > 1 else ""
        say(f"  {problem.kind}: {plain_line(problem.locations[0])}{others}: {plain_line(problem.what)}")
    if len(problems) > MAX_PRINTED:
        say(f"  ... and {len(problems) - MAX_PRINTED} more")
    say(page)
    return 1 if problems else 0


COMMAND = Command(name="check-data", description=__doc__, add_arguments=add_arguments, run=run)
