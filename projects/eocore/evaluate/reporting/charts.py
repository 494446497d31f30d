"""Charts of one benchmark: the confusion of its classes, and the score of each class or question type."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eocore.evaluate.reporting.plots import SETTING_COLOURS, make_figure, to_png
from eocore.evaluate.reporting.tables import METRIC_NAMES
from eocore.evaluate.scoring.scores import TaskScores

MOST_NUMBERED = 24
"""Classes up to which the confusion matrix is large enough for numbers in its cells."""


def draw_confusion(confusion: Mapping[str, Any], *, title: str) -> bytes:
    """PNG: rows are annotated classes, columns predicted ones, the last "none"; shade is the fraction of the row.

    Args:
        confusion: `labels` (C) and `counts` (C, C + 1), as scores.json has them.
        title: above the chart.
    """
    labels, counts = confusion["labels"], np.array(confusion["counts"], dtype=np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    fractions = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    side = max(3.6, 0.26 * len(labels) + 1.6)
    figure = make_figure(width=side + 0.6, height=side)
    axis = figure.subplots()
    axis.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(labels) + 1), [*labels, "none"], rotation=90, fontsize=7)
    axis.set_yticks(range(len(labels)), labels, fontsize=7)
    axis.set(xlabel="predicted", ylabel="annotated", title=title)
    if len(labels) <= MOST_NUMBERED:
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if fractions[row, column] > 0.5 else "black"
            axis.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", fontsize=6, color=colour)
    return to_png(figure)


def draw_types(scored: Mapping[str, TaskScores], *, title: str) -> bytes:
    """PNG: the headline of each class or question type, a bar a setting, with 95 % intervals.

    Args:
        scored: setting -> scores of the task; every one has types.
        title: above the chart.
    """
    headline = next(iter(scored.values()))["headline"]
    kinds = sorted({kind for item in scored.values() for kind in item["by_type"]}, reverse=True)
    figure = make_figure(width=6.4, height=1.0 + 0.2 * len(kinds) * max(1, len(scored) * 0.6))
    axis = figure.subplots()
    thick = 0.8 / len(scored)
    for index, (setting, item) in enumerate(scored.items()):
        rows, values = _bars(kinds, item, headline=headline)
        centres = np.array(rows) - (index - (len(scored) - 1) / 2) * thick
        axis.barh(centres, [100 * value for value, _, _ in values], thick * 0.92, color=SETTING_COLOURS[setting], label=setting, zorder=2)
        reach = 100 * np.clip([[value - low for value, low, _ in values], [high - value for value, _, high in values]], 0, None)
        axis.errorbar([100 * value for value, _, _ in values], centres, xerr=reach, fmt="none", ecolor="0.3", linewidth=0.8, zorder=3)
    axis.set_yticks(range(len(kinds)), kinds, fontsize=8)
    axis.set(title=f"{title}: {METRIC_NAMES.get(headline, headline)} [%]", xlim=(0, max(105.0, axis.get_xlim()[1])))
    axis.grid(axis="x", alpha=0.3)
    if len(scored) > 1:
        axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return to_png(figure)


def _bars(kinds: Sequence[str], item: TaskScores, *, headline: str) -> tuple[list[int], list[tuple[float, float, float]]]:
    """Rows that have a score, and (value, low, high) of each."""
    rows, values = [], []
    for row, kind in enumerate(kinds):
        found = item["by_type"].get(kind, {}).get("metrics", {}).get(headline)  # type: ignore[call-overload]
        if found:
            value = found["value"]
            rows.append(row)
            values.append((value, value if found["low"] is None else found["low"], value if found["high"] is None else found["high"]))
    return rows, values
