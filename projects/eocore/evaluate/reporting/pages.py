"""A report as a list of parts, written as one HTML file that needs nothing beside it, and as Markdown with its pictures."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from eocore.evaluate.reporting.plots import OverlayRow, Panel, encode_png
from eocore.evaluate.reporting.tables import TextTable, to_html, to_markdown
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
    """A chart: PNG content, under a file name that is unique in the report."""

    title: str
    name: str
    png: bytes


Part = Heading | Note | Picture | TextTable | OverlayRow


def write_pages(out_dir: Path, title: str, *, parts: Sequence[Part]) -> Path:
    """Writes report.html, report.md and figures/; gives the HTML file.

    Args:
        out_dir: made where absent; an earlier report in it is replaced.
        title: heading of the page.
        parts: in order; tables without rows are left out.
    """
    template = resources.files("eocore.evaluate.reporting").joinpath("report_template.html").read_text(encoding="utf-8")
    page = out_dir / "report.html"
    sections = "\n".join(_as_html(part) for part in parts)
    write_file(page, Template(template).substitute(title=html.escape(title), sections=sections))
    figures = out_dir / "figures"
    texts = [_as_markdown(part, place, figures=figures) for place, part in enumerate(parts)]
    write_file(out_dir / "report.md", "\n".join([f"# {title}", "", *texts]))
    return page


def _as_html(part: Part) -> str:
    if isinstance(part, Heading):
        return f"<h{part.level}>{html.escape(part.text)}</h{part.level}>"
    if isinstance(part, Note):
        return f'<p class="note">{html.escape(part.text)}</p>'
    if isinstance(part, Picture):
        return f"<h3>{html.escape(part.title)}</h3>{_image(part.png, part.title)}"
    if isinstance(part, TextTable):
        return to_html(part, level=3)
    panels = [_panel(panel) for panel in part.panels]
    return f'<p class="note">{html.escape(part.title)}</p><div class="row">{"".join(panels)}</div>'


def _panel(panel: Panel) -> str:
    picture = _image(encode_png(panel.image, max_side=PANEL_SIDE), panel.title)
    return f"<figure>{picture}<figcaption>{html.escape(panel.title)}</figcaption></figure>"


def _image(png: bytes, text: str) -> str:
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _as_markdown(part: Part, place: int, *, figures: Path) -> str:
    if isinstance(part, Heading):
        return f"{'#' * part.level} {part.text}\n"
    if isinstance(part, Note):
        return f"{part.text}\n"
    if isinstance(part, TextTable):
        return to_markdown(part, level=3)
    if isinstance(part, Picture):
        write_file(figures / part.name, part.png)
        return f"### {part.title}\n\n![{part.title}](figures/{part.name})\n"
    names = [f"overlay{place}_{number}.png" for number in range(len(part.panels))]
    for name, panel in zip(names, part.panels, strict=True):
        write_file(figures / name, encode_png(panel.image, max_side=PANEL_SIDE))
    lines = [[panel.title for panel in part.panels], ["---"] * len(names), [f"![](figures/{name})" for name in names]]
    return f"**{part.title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
