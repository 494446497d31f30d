"""The tables of two predictions files beside each other."""

from eocore.evaluate.comparison.agreement import Agreement
from eocore.evaluate.comparison.paired import Comparison
from eocore.evaluate.reporting.tables import TextTable


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
