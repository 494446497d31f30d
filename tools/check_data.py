"""Reads every record of a config's datasets before a training does: which are broken, where they stand, and what the data is like.

Writes report.html, report.json and pictures. Ends with status 1 where anything is broken.
"""

import argparse
import os
import sys
from pathlib import Path

from eocore.checks.datasets import DatasetFacts, find_datasets, open_dataset, read_dataset
from eocore.checks.report import summary_table, write_report
from eocore.command import command
from eocore.config import load_config
from eocore.log import plain_line
from eocore.overrides import OverrideAction
from eocore.progress import Progress
from eocore.system import systems_of_config

MAX_PRINTED = 20


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="config file")
    parser.add_argument("--out", type=Path, help="folder for the report (default: work_dirs/<config name>/data_check)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that read (default: one a core)")
    parser.add_argument("--cfg-options", nargs="+", action=OverrideAction, default={}, metavar="KEY=VALUE", help="overrides; + adds a key")
    parser.add_argument("--trust-config", action="store_true", help="run a Python config from outside the project's configs folder")
    return parser.parse_args()


def check(arguments: argparse.Namespace) -> list[DatasetFacts]:
    """What was found in each dataset."""
    config = load_config(arguments.config, arguments.cfg_options, trust=arguments.trust_config)
    systems_of_config(config)
    opened = [open_dataset(dataset) for dataset in find_datasets(config.to_dict())]
    total = sum(len(dataset) for _, dataset in opened if dataset)
    with Progress("checking", total, unit="records") as progress:
        for facts, dataset in opened:
            if dataset:
                read_dataset(dataset, facts, num_workers=arguments.workers, on_group=progress.advance)
    return [facts for facts, _ in opened]


@command
def main() -> int:
    """Runs the command; gives the exit status."""
    arguments = parse_arguments()
    found = check(arguments)
    out = arguments.out or Path("work_dirs") / arguments.config.stem / "data_check"
    page = write_report(found, out, title=f"Data of {arguments.config.name}")
    for row in summary_table(found).rows:
        counts = f"{row[2]} records, {row[3]} image files, {row[4]} broken ({row[5]})"
        print(f"{row[0]} ({row[1]}): {counts}; {row[6]}; tokens {row[7]}; masks {row[8]}")
    problems = [problem for facts in found for problem in facts.problems]
    for problem in problems[:MAX_PRINTED]:
        others = f" and {len(problem.places) - 1} more" if len(problem.places) > 1 else ""
        print(f"  {problem.kind}: {plain_line(problem.places[0])}{others}: {plain_line(problem.what)}")
    if len(problems) > MAX_PRINTED:
        print(f"  ... and {len(problems) - MAX_PRINTED} more")
    print(page)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
