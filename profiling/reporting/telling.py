"""How commands that measure tell what they found: on the screen, in a file, as a picture."""

import argparse
from collections.abc import Mapping, Sequence

from rich.console import Console

from profiling.reporting.report import describe_machine, write_json
from profiling.reporting.tables import Row, draw_rows, row_table

MIN_WIDTH = 190
"""Characters of a table where the output is no terminal."""


def tell(
    arguments: argparse.Namespace,
    rows: Sequence[Row],
    *,
    columns: Sequence[str],
    tables: Mapping[str, Sequence[Row]] | None = None,
    figures: Mapping[str, float] | None = None,
) -> None:
    """Prints the rows, and writes and draws them where wanted.

    Args:
        arguments: with `config`, `json` and `plot`.
        rows: of the table.
        columns: that are drawn.
        tables: rows of others, by name, which are printed before and written too.
        figures: single ones, by name.
    """
    figures, tables = figures or {}, tables or {}
    for other in (*tables.values(), rows):
        show(row_table(other))
    for name, value in figures.items():
        print(f"{name}: {value:.4g}")
    if arguments.json:
        others = {name: list(other) for name, other in tables.items()}
        write_json(
            arguments.json, {"machine": describe_machine(), "config": str(arguments.config), **figures, **others, "rows": list(rows)}
        )
    if arguments.plot:
        draw_rows(arguments.plot, rows, columns=columns)


def show(table: object) -> None:
    """Prints a table, wide enough where nobody's terminal limits it."""
    console = Console()
    (console if console.is_terminal else Console(width=MIN_WIDTH)).print(table)
