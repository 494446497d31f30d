"""scalars.jsonl of a training: one line for each logged step, with its losses, learning rate and speed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import StrictFloat

from eocore.errors import DataError
from eocore.json_fields import parse_fields

SCALARS = "scalars.jsonl"
SMOOTHING = 0.9
"""Weight of the mean so far in that of the next step."""
REMEDY = "Expected a line as a training writes it: a whole 'step', and numbers by name. Remove the line."


def read_scalars(path: Path) -> list[dict[str, float]]:
    """The logged steps, in order: `step`, `loss`, its parts `loss_*`, `lr`, ...; a loss that is not finite is NaN or infinity.

    Args:
        path: a training's scalars.jsonl.

    Raises:
        DataError: the file is missing, not text or empty, or a line is no object of numbers with a whole `step`.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file, so there are no training curves. A training with a MetricsHook writes {SCALARS}.")
    steps = []
    for number, line in enumerate(_lines(path), start=1):
        entry = parse_fields(line, dict[str, StrictFloat], source=f"{path}:{number}", remedy=REMEDY)
        if not entry.get("step", np.nan).is_integer():
            raise DataError(f"{path}:{number}: 'step' is {entry.get('step', 'missing')}. {REMEDY}")
        steps.append(entry)
    if not steps:
        raise DataError(f"{path}: no logged steps, so there are no training curves. Let the run log at least one.")
    return steps


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not text ({error}), so no training curves can be read. Give the {SCALARS} of a training.") from error


def smooth(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """(N,) exponential moving mean, corrected for its start (Kingma and Ba 2015, section 3); values that are not finite are passed over.

    Args:
        values: (N,) of the logged steps; the mean before the first finite one is NaN.
    """
    smoothed, total, weight = np.empty(len(values)), 0.0, 0.0
    for index, value in enumerate(values):
        if np.isfinite(value):
            total, weight = SMOOTHING * total + (1.0 - SMOOTHING) * value, SMOOTHING * weight + (1.0 - SMOOTHING)
        smoothed[index] = total / weight if weight else np.nan
    return smoothed
