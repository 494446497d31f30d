"""The report of a check: report.html that needs nothing beside it, report.json for programs, and the pictures."""

import base64
import html
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eocore.checks.datasets import DatasetFacts
from eocore.checks.plots import draw_dataset, draw_overview
from eocore.evaluate.reporting.tables import TextTable, to_html
from eocore.files import write_file
from eocore.log import plain_line

PERCENTILES = (50, 90, 99, 100)
MAX_SHOWN = 200
"""Problems of one dataset that report.html lists; report.json has all."""

STYLE = """
body { margin: 0 auto; max-width: 74rem; padding: 1rem; font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #d5dae0; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .25rem .6rem; text-align: left; border-bottom: 1px solid #e4e8ec; }
.wide { overflow-x: auto; } .figure { text-align: right; } img { max-width: 100%; } td { vertical-align: top; }
"""


def summary_table(facts: Sequence[DatasetFacts]) -> TextTable:
    """Counts by dataset."""
    rows = []
    for fact in facts:
        kinds = Counter(problem.kind for problem in fact.problems)
        lengths = " / ".join(f"{value:.0f}" for value in np.percentile(fact.lengths, PERCENTILES)) if fact.lengths else "-"
        share = f"{fact.num_broken / fact.num_entries:.2%}" if fact.num_entries else "-"
        found = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none"
        counts = (f"{fact.num_entries:,}", f"{fact.num_images:,}", f"{fact.num_broken:,}")
        rows.append((fact.name, fact.kind, *counts, share, found, lengths, fact.masks))
    header = ("dataset", "type", "records", "image files", "broken", "share", "problems", "words (median / 90 % / 99 % / most)", "masks")
    return TextTable("Datasets", header, tuple(rows))


def write_report(facts: Sequence[DatasetFacts], out_dir: Path, *, title: str) -> Path:
    """Writes report.html, report.json and PNG files; gives the path of the first.

    Args:
        facts: of all datasets.
        out_dir: made where absent; an earlier report in it is replaced.
        title: heading.
    """
    pictures = {"overview.png": draw_overview(facts)}
    pictures |= {f"{number:02d}_{_file_name(fact.name)}.png": draw_dataset(fact) for number, fact in enumerate(facts, start=1)}
    for name, png in pictures.items():
        write_file(out_dir / name, png)
    write_file(out_dir / "report.json", json.dumps([_as_json(fact) for fact in facts], indent=1) + "\n")
    overview, *each = pictures.values()
    sections = [to_html(summary_table(facts)), _image(overview, "good and broken records")]
    for fact, png in zip(facts, each, strict=True):
        sections += [to_html(_problem_table(fact)) or f"<h2>{html.escape(fact.name)}: nothing broken</h2>", _image(png, fact.name)]
    page = out_dir / "report.html"
    head = f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style></head>'
    write_file(page, f"{head}<body><h1>{html.escape(title)}</h1>{''.join(sections)}</body></html>\n")
    return page


def _problem_table(fact: DatasetFacts) -> TextTable:
    rows = [
        (
            problem.kind,
            plain_line(problem.places[0]),
            str(len(problem.places)),
            plain_line(problem.what),
        )
        for problem in fact.problems[:MAX_SHOWN]
    ]
    more = f", {MAX_SHOWN} shown" if len(fact.problems) > MAX_SHOWN else ""
    return TextTable(f"{fact.name}: {len(fact.problems)} problems{more}", ("kind", "first place", "records", "what"), tuple(rows), 4)


def _as_json(fact: DatasetFacts) -> dict[str, Any]:
    return {
        "name": fact.name,
        "type": fact.kind,
        "annotations": fact.annotations,
        "records": fact.num_entries,
        "image_files": fact.num_images,
        "broken_records": fact.num_broken,
        "problems": [{"kind": problem.kind, "places": problem.places, "message": problem.message} for problem in fact.problems],
        "tasks": dict(fact.tasks),
        "classes": {kind: dict(counts.most_common()) for kind, counts in fact.classes.items()},
        "image_sizes": dict(fact.sizes),
        "words": _quantiles(fact.lengths),
        "mask_shares": _quantiles(fact.mask_shares),
        "masks": {"drawn": len(fact.mask_shares), "empty": len(fact.empty_masks), "covering_the_whole_image": len(fact.full_masks)},
        "nodata_shares": {modality: _quantiles(shares) for modality, shares in fact.nodata.items()},
    }


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{place}": round(float(np.percentile(values, place)), 6) for place in (0, *PERCENTILES)} if values else {}


def _image(png: bytes, text: str) -> str:
    return f'<p><img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(png).decode()}"></p>'


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name)[:60] or "dataset"
