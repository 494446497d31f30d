"""A report as a list of parts, written as one HTML file that needs nothing beside it, and as Markdown with its pictures."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from eocore.evaluate.reporting.plots import Colour, OverlayRow, Panel, encode_png
from eocore.evaluate.reporting.tables import TextTable, to_markdown
from eocore.files import write_file

PANEL_SIDE = 384
"""Longest side of an overlay [px]."""


@dataclass(frozen=True)
class Heading:
    """A heading; level 2 begins a benchmark."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Note:
    """A line of small print."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A chart: PNG content, under a file name that is unique in the report; `headed`: its title stands above it, too."""

    title: str
    name: str
    png: bytes
    headed: bool = True


PLAIN: Colour = (27, 31, 36)
"""Of words that belong to no mask or box."""


@dataclass(frozen=True)
class Words:
    """Something that is said in a sample: what it is, the text, and the colour of the mask or box it belongs to."""

    label: str
    text: str
    colour: Colour = PLAIN


@dataclass(frozen=True)
class SampleRow:
    """A sample of a data set: its pictures, and all its words beside them."""

    title: str
    panels: tuple[Panel, ...]
    words: tuple[Words, ...]


Part = Heading | Note | Picture | TextTable | OverlayRow | SampleRow


@dataclass(frozen=True)
class PageOptions:
    """How a page is laid out.

    Attributes:
        introduction: small print below the title.
        level: of the headings of tables and pictures.
        long_cells: cells of tables hold sentences, which are wrapped.
    """

    introduction: str = ""
    level: int = 3
    long_cells: bool = False


SCORES_PAGE = PageOptions(
    "Every sample counts: one that is missing or cannot be read is wrong. Brackets hold 95 % bootstrap intervals over images; "
    "one of no width says that all samples agree, not that the figure is exact. mIoU is the mean foreground IoU (all background = 0)."
)
"""A page of scores."""


def page_html(title: str, parts: Sequence[Part], *, options: PageOptions = SCORES_PAGE) -> str:
    """A page that needs nothing beside it; tables without rows are left out."""
    kinds = [(type(part).__name__, part) for part in parts]
    return _templates().get_template("page.html").render(title=title, parts=kinds, **vars(options))


def write_pages(out_dir: Path, title: str, *, parts: Sequence[Part], options: PageOptions = SCORES_PAGE) -> Path:
    """Writes report.html, report.md and figures/; returns the path of the HTML file.

    Args:
        out_dir: made where absent; an earlier report in it is replaced.
        title: heading of the page.
        parts: in order; tables without rows are left out.
        options: of the layout.
    """
    page = out_dir / "report.html"
    write_file(page, page_html(title, parts, options=options))
    figures = out_dir / "figures"
    texts = [_as_markdown(part, index, figures=figures, level=options.level) for index, part in enumerate(parts)]
    write_file(out_dir / "report.md", "\n".join([f"# {title}", "", *texts]))
    return page


@cache
def _templates() -> Environment:
    found = Environment(
        loader=PackageLoader("eocore.evaluate.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {"data_url": _data_url, "panel_png": _panel_png}
    return found


def _panel_png(panel: Panel) -> bytes:
    return encode_png(panel.image, max_side=PANEL_SIDE)


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _as_markdown(part: Part, index: int, *, figures: Path, level: int) -> str:
    if isinstance(part, Heading):
        return f"{'#' * part.level} {part.text}\n"
    if isinstance(part, Note):
        return f"{part.text}\n"
    if isinstance(part, TextTable):
        return to_markdown(part, level=level)
    if isinstance(part, Picture):
        write_file(figures / part.name, part.png)
        return f"{'#' * level} {part.title}\n\n![{part.title}](figures/{part.name})\n"
    names = [f"overlay{index}_{number}.png" for number in range(len(part.panels))]
    for name, panel in zip(names, part.panels, strict=True):
        write_file(figures / name, _panel_png(panel))
    lines = [[panel.title for panel in part.panels], ["---"] * len(names), [f"![](figures/{name})" for name in names]]
    words = [f"\n- {item.label}: {item.text}" for item in part.words] if isinstance(part, SampleRow) else []
    return f"**{part.title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n" + "".join(words)
