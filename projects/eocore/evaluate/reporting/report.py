"""The report of a run: one HTML file that needs nothing beside it, and the same as Markdown with its pictures."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from eocore.errors import DataError
from eocore.evaluate.reporting.pages import SCORES_PAGE, Heading, Note, Part, Picture, write_pages
from eocore.evaluate.reporting.plots import OverlayRow, draw_curves, draw_scores
from eocore.evaluate.reporting.tables import (
    compat_table,
    difference_table,
    environment_table,
    mask_table,
    reading_notes,
    run_notes,
    score_table,
    set_table,
    type_table,
    unread_table,
)
from eocore.evaluate.scoring.scores import Scores
from eocore.scalars import read_scalars

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
        scores: of `score_predictions`.
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
    parts: list[Part] = [*(Note(text) for text in _notes(scores, steps)), set_table(scores), score_table(scores)]
    parts += [Picture("Scores by input", "scores.png", draw_scores(scores)), difference_table(scores)]
    if overlays:
        parts += [Heading("Masks on test scenes"), Note(_LEGEND), *overlays]
    if steps:
        parts.append(Picture("Training", "curves.png", draw_curves(steps)))
    parts += [mask_table(scores), type_table(scores), unread_table(scores), compat_table(scores)]
    parts.append(environment_table(describe_environment() if environment is None else environment))
    return write_pages(out_dir, title, parts=parts, options=replace(SCORES_PAGE, level=2))


def _notes(scores: Scores, steps: Sequence[Mapping[str, float]]) -> list[str]:
    notes = []
    file = scores.get("predictions")
    if file:
        notes.append(f"{file['num_samples']} samples asked for; predictions file {Path(file['path']).name}, sha256 {file['sha256'][:16]}.")
    unscored = [f"{count} {task} ({setting})" for setting, counts in scores["unscored"].items() for task, count in counts.items()]
    if unscored:
        notes.append(f"Predicted, but no score is made of them: {', '.join(unscored)}.")
    notes += [*run_notes(scores), *reading_notes(scores)]
    broken = sum(any(value != value or abs(value) == float("inf") for value in entry.values()) for entry in steps)
    if broken:
        notes.append(f"{broken} of {len(steps)} logged training steps hold values that are not finite.")
    return notes
