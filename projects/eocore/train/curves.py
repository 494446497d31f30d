"""Loss curves of a run as a picture."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from eocore.errors import DataError
from eocore.train.task import LOSS_PREFIX

MAX_COLUMNS = 3
SMOOTHING = 0.9


def read_scalars(path: Path) -> list[dict[str, float]]:
    """The records of a scalars.jsonl file, in order.

    Raises:
        DataError: the file is missing, or a line is not JSON.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist; there are no curves to draw. Train with a MetricsHook in the config's hooks.")
    records = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{number}: not JSON ({error.msg}); the curves would have a hole. Remove the line.") from error
    return records


def draw_curves(scalars: Path, picture: Path) -> None:
    """Draws one panel per loss part, and one for the learning rate, over the steps.

    Args:
        scalars: scalars.jsonl of a run.
        picture: PNG file to write.
    """
    from matplotlib.figure import Figure

    records = read_scalars(scalars)
    names = [name for name in dict.fromkeys(key for record in records for key in record) if name == "loss" or name.startswith(LOSS_PREFIX)]
    names.append("lr")
    columns = min(MAX_COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(4.2 * columns, 2.9 * rows), layout="constrained")
    for index, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, index + 1)
        points = [(record["step"], record[name]) for record in records if name in record]
        steps, values = [step for step, _ in points], [value for _, value in points]
        if name == "lr":
            axes.plot(steps, values, color="tab:gray")
        else:
            axes.plot(steps, values, color="tab:blue", alpha=0.35, linewidth=1)
            axes.plot(steps, smooth(values), color="tab:blue", linewidth=1.8)
        axes.set_title("learning rate" if name == "lr" else name, fontsize=10)
        axes.set_xlabel("step", fontsize=9)
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=8)
    figure.savefig(picture, dpi=130)


def smooth(values: Sequence[float]) -> list[float]:
    """Exponential moving average, corrected for its start (Kingma and Ba 2015, section 3)."""
    average, smoothed = 0.0, []
    for count, value in enumerate(values, start=1):
        average = SMOOTHING * average + (1 - SMOOTHING) * value
        smoothed.append(average / (1 - SMOOTHING**count))
    return smoothed
