"""The report of a check: report.html that needs nothing beside it, report.json for programs, and the pictures."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from eocore.checks.facts import DatasetFacts
from eocore.checks.grouping import group_problems
from eocore.checks.plots import draw_dataset, draw_overview
from eocore.checks.sample_grid import draw_grid
from eocore.checks.sample_pictures import sample_rows
from eocore.data.dataset import RecordDataset
from eocore.evaluate.reporting.pages import Heading, Note, PageOptions, Part, Picture, SampleRow, page_html
from eocore.evaluate.reporting.tables import TextTable
from eocore.files import write_file
from eocore.log import plain_line

PERCENTILES = (50, 90, 99, 100)
MOMENTS = ("mean", "deviation", "lowest", "highest")
"""Of the statistics of a band, what is shown."""
MAX_SHOWN = 200
"""Groups of problems of one dataset that report.html lists; report.json has all problems."""
AUGMENTED_PICTURE = "00_augmentation.png"
PAGE = PageOptions(level=2, long_cells=True)
Samples = Mapping[str, Sequence[SampleRow]]
"""Name of a dataset -> rows of it that are shown."""
NO_SAMPLES: Samples = MappingProxyType({})
Opened = Sequence[tuple[DatasetFacts, RecordDataset | None]]


def summary_table(facts: Sequence[DatasetFacts]) -> TextTable:
    """Counts by dataset."""
    rows = []
    for fact in facts:
        kinds = Counter(problem.kind for problem in fact.problems)
        lengths = " / ".join(f"{value:.0f}" for value in np.percentile(fact.lengths, PERCENTILES)) if fact.lengths else "-"
        fraction = f"{fact.num_broken / fact.num_entries:.2%}" if fact.num_entries else "-"
        found = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none"
        counts = (f"{fact.num_entries:,}", f"{fact.num_images:,}", f"{fact.num_broken:,}")
        rows.append((fact.name, fact.kind, *counts, fraction, found, lengths, fact.masks))
    header = ("dataset", "type", "records", "image files", "broken", "fraction", "problems", "words (median / 90 % / 99 % / most)", "masks")
    return TextTable("Datasets", header, tuple(rows))


def write_report(facts: Sequence[DatasetFacts], out_dir: Path, *, title: str, samples: Samples = NO_SAMPLES) -> Path:
    """Writes report.html, report.json and PNG files; returns the path of the first.

    Args:
        facts: of all datasets.
        out_dir: made where absent; an earlier report in it is replaced.
        title: heading.
        samples: name of a dataset -> rows of it that are shown.
    """
    pictures = {"overview.png": draw_overview(facts)}
    pictures |= {f"{number:02d}_{_file_name(fact.name)}.png": draw_dataset(fact) for number, fact in enumerate(facts, start=1)}
    for name, png in pictures.items():
        write_file(out_dir / name, png)
    write_file(out_dir / "report.json", json.dumps([_as_json(fact) for fact in facts], indent=1) + "\n")
    overview, *each = pictures.items()
    parts: list[Part] = [summary_table(facts), Picture("good and broken records", *overview, headed=False)]
    for fact, picture in zip(facts, each, strict=True):
        broken = _problem_table(fact) if fact.problems else Heading(f"{fact.name}: nothing broken")
        warnings = [Note(f"Look at this: {plain_line(warning)}") for warning in fact.warnings]
        parts += [broken, *warnings, Picture(fact.name, *picture, headed=False), _band_table(fact), *samples.get(fact.name, ())]
    page = out_dir / "report.html"
    write_file(page, page_html(title, parts, options=PAGE))
    return page


def show_datasets(opened: Opened, out_dir: Path, *, title: str, count: int, augmented: Sequence[SampleRow] = ()) -> Path:
    """Writes index.html and a PNG for each dataset, with some of its samples; returns the path of the first.

    Args:
        opened: from `eocore.checks.datasets.open_dataset`; those without a good record are left out.
        out_dir: made where absent; earlier pictures in it are replaced.
        title: heading.
        count: samples of each dataset.
        augmented: rows of samples before and after the training's augmentation, shown first.
    """
    parts: list[Part] = []
    if augmented:
        heading = "Samples of the training, before and after augmentation"
        write_file(out_dir / AUGMENTED_PICTURE, draw_grid(augmented, heading))
        parts += [Heading(heading), *augmented]
    for number, (fact, dataset) in enumerate(opened, start=1):
        rows = sample_rows(dataset, count) if dataset else []
        if rows:
            heading = f"{fact.name} ({fact.kind}): {len(rows)} of {fact.num_entries:,} records"
            write_file(out_dir / f"{number:02d}_{_file_name(fact.name)}.png", draw_grid(rows, heading))
            parts += [Heading(heading), *rows]
    page = out_dir / "index.html"
    write_file(page, page_html(title, parts, options=PAGE))
    return page


def _problem_table(fact: DatasetFacts) -> TextTable:
    groups = group_problems(fact.problems)
    rows = [
        (
            group.first.kind,
            plain_line(group.first.locations[0]),
            f"{group.num_records:,}",
            plain_line(group.first.what) + (f" (and {group.num_problems - 1:,} alike)" if group.num_problems > 1 else ""),
        )
        for group in groups[:MAX_SHOWN]
    ]
    more = f", {MAX_SHOWN} kinds of {len(groups)} shown" if len(groups) > MAX_SHOWN else ""
    return TextTable(f"{fact.name}: {len(fact.problems)} problems{more}", ("kind", "first location", "records", "what"), tuple(rows), 4)


def _band_table(fact: DatasetFacts) -> TextTable:
    """Statistics of the values of each band."""
    rows = [
        (role, band, item.unit, *(f"{getattr(item, name):.4g}" for name in MOMENTS))
        for (role, band), item in fact.bands.items()
        if item.count
    ]
    return TextTable(
        f"{fact.name}: values of the bands", ("role", "band", "unit", "mean", "deviation", "lowest", "highest"), tuple(rows), 3
    )


def _as_json(fact: DatasetFacts) -> dict[str, Any]:
    return {
        "name": fact.name,
        "type": fact.kind,
        "annotations": fact.annotations,
        "records": fact.num_entries,
        "questions": fact.num_questions,
        "image_files": fact.num_images,
        "broken_records": fact.num_broken,
        "problems": [{"kind": problem.kind, "locations": problem.locations, "message": problem.message} for problem in fact.problems],
        "tasks": dict(fact.tasks),
        "classes": {kind: dict(counts.most_common()) for kind, counts in fact.classes.items()},
        "image_sizes": dict(fact.sizes),
        "words": _quantiles(fact.lengths),
        "mask_shares": _quantiles(fact.mask_shares),
        "masks": {"drawn": len(fact.mask_shares), "empty": len(fact.empty_masks), "covering_the_whole_image": len(fact.full_masks)},
        "warnings": fact.warnings,
        "bands": [
            {
                "role": role,
                "band": band,
                "unit": item.unit,
                "mean": item.mean,
                "deviation": item.deviation,
                "lowest": item.lowest,
                "highest": item.highest,
            }
            for (role, band), item in fact.bands.items()
            if item.count
        ],
        "nodata_shares": {modality: _quantiles(shares) for modality, shares in fact.nodata.items()},
    }


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{percent}": round(float(np.percentile(values, percent)), 6) for percent in (0, *PERCENTILES)} if values else {}


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name)[:60] or "dataset"
