"""Loss curves of a run as a picture."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.scalar_names import VALIDATED, measures_of, points
from eocore.scalars import read_scalars, smooth
from eocore.train.task import LOSS_PREFIX

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_COLUMNS = 3


def draw_curves(scalars: Path, picture: Path) -> None:
    """Draws a panel for each loss part, with its values on held-out data, one for each measure of answers, and one for the learning rate.

    Args:
        scalars: scalars.jsonl of a run.
        picture: PNG file to write.

    Raises:
        DataError: the file is missing or empty, or a line of it is broken.
    """
    from matplotlib.figure import Figure

    records = read_scalars(scalars)
    losses = [name for name in dict.fromkeys(key for record in records for key in record) if name == "loss" or name.startswith(LOSS_PREFIX)]
    measures = measures_of(records)
    columns = min(MAX_COLUMNS, len(losses) + len(measures) + 1)
    rows = math.ceil((len(losses) + len(measures) + 1) / columns)
    figure = Figure(figsize=(4.2 * columns, 2.9 * rows), layout="constrained")
    panels = iter(figure.subplots(rows, columns, squeeze=False).flat)
    for name in losses:
        axes = _panel(next(panels), name)
        steps, values = points(records, name)
        axes.plot(steps, values, color="tab:blue", alpha=0.35, linewidth=1)
        axes.plot(steps, smooth(values), color="tab:blue", linewidth=1.8)
        _draw_results(axes, records, names={"held out": f"{VALIDATED}{name}"})
    for name, settings in measures.items():
        _draw_results(_panel(next(panels), f"{name}, held out"), records, names=settings)
    _panel(next(panels), "learning rate").plot(*points(records, "lr"), color="tab:gray")
    for axes in panels:
        axes.set_axis_off()
    figure.savefig(picture, dpi=130)


def _panel(axes: "Axes", title: str) -> "Axes":
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("step", fontsize=9)
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=8)
    return axes


def _draw_results(axes: "Axes", records: Sequence[Mapping[str, float]], *, names: Mapping[str, str]) -> None:
    """Lines with a mark at each validation, by label."""
    for number, (label, name) in enumerate(names.items(), start=1):
        steps, values = points(records, name)
        if steps:
            axes.plot(steps, values, color=f"C{number}", marker="o", markersize=3.5, linewidth=1.2, label=label)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)
