"""`report`: report.html and report.md of a run's folder."""

import argparse
from pathlib import Path

from eocore.command import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `report`."""
    parser.add_argument("folder", type=Path, help="the --out folder of `run`")
    parser.add_argument(
        "--benchmark", nargs="+", action="extend", default=[], metavar="NAME", help="only these, in this order (default: all)"
    )
    parser.add_argument("--title", default="Evaluation")


def run(arguments: argparse.Namespace) -> int:
    """Writes the report, prints the table."""
    from rich.console import Console

    from eocore.evaluate.engine.inputs import RUN_FILE
    from eocore.evaluate.registration import register_systems_of
    from eocore.evaluate.reporting.suite_report import write_suite_report
    from eocore.evaluate.reporting.summary import read_results, suite_table
    from eocore.evaluate.reporting.tables import to_rich

    folders = [arguments.folder / name for name in arguments.benchmark] or list(arguments.folder.glob("*/"))
    register_systems_of(*(folder for folder in folders if (folder / RUN_FILE).is_file()))
    results = read_results(arguments.folder, arguments.benchmark)
    page = write_suite_report(arguments.folder, results, title=arguments.title)
    Console().print(f"Report: {page}", soft_wrap=True)
    Console().print(to_rich(suite_table(results)))
    return 0


COMMAND = Command(name="report", description="Writes report.html and report.md of a run.", add_arguments=add_arguments, run=run)
