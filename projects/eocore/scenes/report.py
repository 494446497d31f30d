"""What a reader of a map looks at first: a picture, a table of classes, and what failed, as one page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eocore.evaluate.reporting.pages import Heading, Note, PageOptions, Part, Picture, page_html
from eocore.evaluate.reporting.tables import TextTable
from eocore.files import write_file
from eocore.scenes.decisions import NODATA, NONE_OF_THEM
from eocore.scenes.pictures import class_colour, draw_map

OVERVIEW, REPORT = "overview.png", "report.html"
NONE, NO_DATA = "none of them", "no data"
"""Names of the pixels of no prompt."""
PAGE = PageOptions(level=2, long_cells=True)


def write_report(folder: Path, classes: Path, *, summary: Mapping[str, Any], pixel_m2: float) -> list[Path]:
    """Writes overview.png and report.html.

    Args:
        folder: of the map.
        classes: its raster of class numbers.
        summary: what map.json holds.
        pixel_m2: area of a pixel [m2], NaN where it is not known.

    Raises:
        OutputError: a file cannot be written.
    """
    picture = draw_map(classes)
    write_file(folder / OVERVIEW, picture)
    windows, tiling = summary["windows"], summary["tiling"]
    parts: list[Part] = [
        class_table(summary, pixel_m2=pixel_m2),
        Picture("Classes", OVERVIEW, picture),
        TextTable("Windows that have no scores", ("row_column", "why"), tuple(windows["failed"].items())),
        Heading("How it was made"),
        Note(f"Model: {summary['model']}"),
        *(Note(f"{role}: {', '.join(paths)}") for role, paths in summary["images"].items()),
        Note(
            f"{windows['all']} windows of {tiling['side']} px that overlap by {tiling['overlap']} px or more, over {tiling['height']} x "
            f"{tiling['width']} px; values: {summary['values']}, threshold: {summary['threshold']}."
        ),
    ]
    write_file(folder / REPORT, page_html(f"Map: {', '.join(summary['prompts'])}", parts, options=PAGE))
    return [folder / OVERVIEW, folder / REPORT]


def class_table(summary: Mapping[str, Any], *, pixel_m2: float) -> TextTable:
    """A row for each class: pixels, area and fraction of all that has data."""
    counts: Mapping[str, int] = summary["pixels"]
    there = max(sum(count for name, count in counts.items() if name != NO_DATA), 1)
    numbers = {NONE: NONE_OF_THEM, NO_DATA: NODATA} | {name: number for number, name in enumerate(summary["prompts"], start=1)}
    rows = []
    for name, count in counts.items():
        area = "-" if pixel_m2 != pixel_m2 else f"{count * pixel_m2 / 1e6:,.3f}"
        fraction = "-" if name == NO_DATA else f"{100 * count / there:.2f}"
        colour = "#{:02x}{:02x}{:02x}".format(*class_colour(numbers[name]))
        rows.append((str(numbers[name]), name, colour, f"{count:,}", area, fraction))
    return TextTable("Classes", ("number", "class", "colour", "pixels", "km2", "% of data"), tuple(rows))
