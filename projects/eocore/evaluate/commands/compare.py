"""`compare`: the paired difference of two predictions files."""

import argparse
import json
from pathlib import Path

from eocore.command import Command
from eocore.evaluate.commands.score import add_file_arguments, apply_benchmark, read_file, read_metric, wide_console
from eocore.evaluate.comparison.agreement import Agreement, measure_agreement
from eocore.evaluate.comparison.paired import Comparison, compare_predictions
from eocore.evaluate.reporting.tables import TextTable, to_rich
from eocore.files import write_file

DESCRIPTION = """
How much better A is than B on the same samples, with the 95 % interval of a paired bootstrap over images. Files are read as by `score`;
what is said about fields holds for both. With --alike, how alike the answers themselves are instead: the share of equal texts, and the IoU
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


def comparison_table(rows: list[Comparison]) -> TextTable:
    """One line a task, setting and figure."""
    header = ("task", "setting", "samples", "figure", "A", "B", "A - B", "95 % interval", "p", "n")
    return TextTable("A against B, paired", header, tuple(map(_cells, rows)), num_labels=4)


def agreement_table(rows: list[Agreement]) -> TextTable:
    """One line a task and setting."""
    header = ("task", "setting", "samples", "equal answers [%]", "masks", "mean IoU of the masks [%]")
    cells = [
        (
            row["task"],
            row["setting"],
            str(row["n"]),
            f"{100 * row['equal']:.1f}",
            str(row["masks"]),
            "-" if row["mask_iou"] is None else f"{100 * row['mask_iou']:.2f}",
        )
        for row in rows
    ]
    return TextTable("A beside B", header, tuple(cells), num_labels=2)


def _cells(row: Comparison) -> tuple[str, ...]:
    difference = row["difference"]
    interval = "-" if difference["low"] is None else f"{difference['low']:+.4f} ... {difference['high']:+.4f}"
    p = "-" if row["p"] is None else f"{row['p']:.3f}"
    first, second = row["first_setting"], row["second_setting"]
    return (
        row["task"],
        first if first == second else f"{first} - {second}",
        row["samples"],
        row["metric"],
        f"{row['first']:.4f}",
        f"{row['second']:.4f}",
        f"{difference['value']:+.4f}",
        interval,
        p,
        str(row["n"]),
    )


COMMAND = Command(name="compare", description=DESCRIPTION, add_arguments=add_arguments, run=run)
