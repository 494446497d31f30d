"""`compare`: the paired difference of two predictions files."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command
from eocore.evaluate.commands.file_arguments import add_file_arguments

if TYPE_CHECKING:  # what compares is imported when there is something to compare
    from eocore.evaluate.comparison.agreement import Agreement
    from eocore.evaluate.comparison.paired import Comparison

DESCRIPTION = """
How much better A is than B on the same samples, with the 95 % interval of a paired bootstrap over images. Files are read as by `score`;
what is said about fields holds for both. With --alike, how alike the answers are instead: the fraction of equal texts, and the IoU
of masks drawn for the same sample.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `compare`."""
    parser.add_argument("first", type=Path, metavar="A")
    parser.add_argument("second", type=Path, metavar="B")
    parser.add_argument("--alike", action="store_true", help="compare the answers of both files with each other, not with the truth")
    add_file_arguments(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the comparison is written as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Compares, prints the table, writes the file."""
    from eocore.evaluate.commands.reading import apply_benchmark, read_file, read_metric
    from eocore.evaluate.commands.showing import wide_console
    from eocore.evaluate.comparison.agreement import measure_agreement
    from eocore.evaluate.comparison.paired import compare_predictions
    from eocore.evaluate.registration import register_systems_of
    from eocore.evaluate.reporting.difference_tables import agreement_table, comparison_table
    from eocore.evaluate.reporting.tables import to_rich
    from eocore.files import write_file

    register_systems_of(arguments.first, arguments.second)
    apply_benchmark(arguments)
    first, second = (read_file(arguments, path)[0] for path in (arguments.first, arguments.second))
    rows: list[Agreement] | list[Comparison]
    if arguments.alike:
        rows = measure_agreement(first, second)
        table = agreement_table(rows)
    else:
        rows = compare_predictions(first, second, metrics=read_metric(arguments), seed=arguments.seed)
        table = comparison_table(rows)
    if arguments.out:
        write_file(arguments.out, json.dumps(rows, indent=1))
    wide_console().print(to_rich(table))
    return 0


COMMAND = Command(name="compare", description=DESCRIPTION, add_arguments=add_arguments, run=run)
