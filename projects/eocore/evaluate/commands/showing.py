"""What the commands print: tables of scores, wide enough for a file or a pipe."""

from rich.console import Console

from eocore.evaluate.reporting.tables import console_table, difference_table, figure_tables, reading_notes, run_notes, set_table, to_rich
from eocore.evaluate.scoring.scores import Scores

CONSOLE_WIDTH = 120
"""Where the output is no terminal."""


def show(scores: Scores, fields: str, *, by_image: bool) -> None:
    """Prints the tables."""
    console = wide_console()
    console.print(f"fields: {fields}", markup=False, highlight=False)
    if not by_image:
        console.print("No field names the image: intervals take the samples as independent, and are too narrow where they share images.")
    for note in reading_notes(scores):
        console.print(note, markup=False, highlight=False)
    for table in figure_tables(scores):
        console.print(to_rich(table))


def wide_console() -> Console:
    """A console that does not cut tables where the output goes to a file or a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=CONSOLE_WIDTH)


def show_config_scores(scores: Scores | None) -> None:
    """Prints the tables of a config's run; nothing on ranks other than the first."""
    if scores is None:
        return
    for table in (set_table(scores), console_table(scores), difference_table(scores)):
        if table.rows:
            Console().print(to_rich(table))
    for note in (*run_notes(scores), *reading_notes(scores)):
        Console().print(note, markup=False, highlight=False, soft_wrap=True)
