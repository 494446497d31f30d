"""Rows of figures as a table and as bars."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.table import Table

Row = Mapping[str, float | str]


def row_table(rows: Sequence[Row]) -> Table:
    """A table with the columns of the first row, figures to four digits."""
    table = Table(*rows[0], box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:.4g}" for value in row.values()))
    return table


def draw_rows(path: Path, rows: Sequence[Row], *, columns: Sequence[str]) -> None:
    """PNG: a panel for each of `columns`, a bar for each row; the first column of a row is its name."""
    from matplotlib.figure import Figure

    names = [str(next(iter(row.values()))) for row in rows]
    figure = Figure(figsize=(1.0 + 3.0 * len(columns), 1.2 + 0.3 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
    for panel, column in zip(panels, columns, strict=True):
        panel.barh(names[::-1], [float(row[column]) for row in rows][::-1], color="#0072B2")
        panel.set_xlabel(column)
    figure.savefig(path, dpi=150)
