"""The report of a run: one HTML file that needs nothing beside it, and the same as Markdown with its pictures."""

import base64
import html
import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata, resources
from pathlib import Path
from string import Template

from eocore.errors import DataError
from eocore.evaluate.reporting.plots import OverlayRow, draw_curves, draw_scores, encode_png, read_scalars
from eocore.evaluate.reporting.tables import (
    TextTable,
    compat_table,
    difference_table,
    environment_table,
    mask_table,
    reading_notes,
    score_table,
    to_html,
    to_markdown,
    type_table,
    unread_table,
)
from eocore.evaluate.scoring.scores import Scores
from eocore.files import write_file

_PANEL_SIDE = 384
_LEGEND = "Orange: annotated. Magenta: predicted, on the image of its input."
_LIBRARIES = ("torch", "transformers", "deepspeed", "mmengine", "numpy")


def describe_environment() -> dict[str, str]:
    """Machine and library versions, by name."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    found = {"machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {device}", "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = "not installed"
    return found


def write_report(
    out_dir: Path,
    scores: Scores,
    *,
    title: str,
    scalars: Path | None = None,
    overlays: Sequence[OverlayRow] = (),
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Writes `report.html`, `report.md` and the pictures of the latter under `figures/`.

    Args:
        out_dir: made where absent; an earlier report in it is replaced.
        scores: of `score_file`.
        title: heading.
        scalars: scalars.jsonl of the training run; None leaves the curves out.
        overlays: one row per scene.
        environment: name -> value, shown last; None = `describe_environment()`.

    Returns:
        Path of the HTML file.

    Raises:
        DataError: nothing was scored, or the scalars cannot be read.
    """
    if not scores["settings"]:
        raise DataError(
            f"no task in the predictions has a score ({scores['unscored']}); there is nothing to report. Predict a scored task."
        )
    steps = read_scalars(scalars) if scalars else []
    charts = [("Scores by input", "scores.png", draw_scores(scores))]
    if steps:
        charts.append(("Training", "curves.png", draw_curves(steps)))
    notes = _notes(scores, steps)
    tables = [score_table(scores), difference_table(scores), mask_table(scores), type_table(scores), unread_table(scores)]
    tables.append(compat_table(scores))
    tables.append(environment_table(describe_environment() if environment is None else environment))
    page = out_dir / "report.html"
    write_file(page, _html(title, tables=tables, charts=charts, overlays=overlays, notes=notes))
    _write_markdown(out_dir, title, tables=tables, charts=charts, overlays=overlays, notes=notes)
    return page


def _notes(scores: Scores, steps: Sequence[Mapping[str, float]]) -> list[str]:
    notes = []
    file = scores.get("predictions")
    if file:
        notes.append(f"{file['num_samples']} samples asked for; predictions file {Path(file['path']).name}, sha256 {file['sha256'][:16]}.")
    unscored = [f"{count} {task} ({setting})" for setting, counts in scores["unscored"].items() for task, count in counts.items()]
    if unscored:
        notes.append(f"Predicted, but no score is made of them: {', '.join(unscored)}.")
    notes += reading_notes(scores)
    broken = sum(any(value != value or abs(value) == float("inf") for value in entry.values()) for entry in steps)
    if broken:
        notes.append(f"{broken} of {len(steps)} logged training steps hold values that are not finite.")
    return notes


Chart = tuple[str, str, bytes]


def _html(title: str, *, tables: Sequence[TextTable], charts: Sequence[Chart], overlays: Sequence[OverlayRow], notes: Sequence[str]) -> str:
    sections = [f'<p class="note">{html.escape(note)}</p>' for note in notes]
    sections.append(to_html(tables[0]))
    sections += [f"<h2>{html.escape(heading)}</h2>{_image(png, heading)}" for heading, _, png in charts[:1]]
    sections.append(to_html(tables[1]))
    sections.append(_overlays_html(overlays))
    sections += [f"<h2>{html.escape(heading)}</h2>{_image(png, heading)}" for heading, _, png in charts[1:]]
    sections += [to_html(table) for table in tables[2:]]
    template = resources.files("eocore.evaluate.reporting").joinpath("report_template.html").read_text(encoding="utf-8")
    return Template(template).substitute(title=html.escape(title), sections="\n".join(sections))


def _overlays_html(overlays: Sequence[OverlayRow]) -> str:
    if not overlays:
        return ""
    rows = ["<h2>Masks on test scenes</h2>", f'<p class="note">{_LEGEND}</p>']
    for row in overlays:
        figures = [
            f"<figure>{_image(encode_png(p.image, max_side=_PANEL_SIDE), p.title)}<figcaption>{html.escape(p.title)}</figcaption></figure>"
            for p in row.panels
        ]
        rows.append(f'<h3>{html.escape(row.title)}</h3><div class="row">{"".join(figures)}</div>')
    return "\n".join(rows)


def _image(png: bytes, text: str) -> str:
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _write_markdown(
    out_dir: Path, title: str, *, tables: Sequence[TextTable], charts: Sequence[Chart], overlays: Sequence[OverlayRow], notes: Sequence[str]
) -> None:
    figures = out_dir / "figures"
    parts = [f"# {title}", "", *(f"{note}\n" for note in notes), *(to_markdown(table) for table in tables[:2])]
    for heading, name, png in charts:
        write_file(figures / name, png)
        parts.append(f"## {heading}\n\n![{heading}](figures/{name})\n")
    if overlays:
        parts.append(f"## Masks on test scenes\n\n{_LEGEND}\n")
    for number, row in enumerate(overlays):
        names = [f"scene{number}_{place}.png" for place in range(len(row.panels))]
        for name, panel in zip(names, row.panels, strict=True):
            write_file(figures / name, encode_png(panel.image, max_side=_PANEL_SIDE))
        lines = [[panel.title for panel in row.panels], ["---"] * len(names), [f"![](figures/{name})" for name in names]]
        parts.append(f"**{row.title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    parts += [to_markdown(table) for table in tables[2:]]
    write_file(out_dir / "report.md", "\n".join(parts))
