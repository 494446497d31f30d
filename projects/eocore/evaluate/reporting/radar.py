"""Several models over several measures in one picture."""

from collections.abc import Mapping, Sequence

import numpy as np

from eocore.errors import ConfigError
from eocore.evaluate.reporting.plots import make_figure, to_png

LEAST_AXES = 3
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Told apart by colour-blind readers too. Source: Okabe and Ito, Color Universal Design (2008)."""
INNER = 0.25
"""Radius of the lowest value of an axis, so that it is still seen."""


def draw_radar(values: Mapping[str, Mapping[str, float]], *, title: str) -> bytes:
    """PNG: an axis for each measure, from the lowest model to the highest, both written at its end; a line for each model.

    Axes are scaled each by itself, so lengths compare models on one axis and not axes among each other.

    Args:
        values: model -> measure -> value [1]; measures that not all models have are left out.
        title: of the picture.

    Raises:
        ConfigError: fewer than three measures are common to all models, or there is no model.
    """
    axes = _common(list(values.values()))
    if len(axes) < LEAST_AXES:
        raise ConfigError(
            f"a radar figure needs {LEAST_AXES} measures that all models have, found {len(axes)}: {', '.join(axes) or 'none'}."
        )
    table = np.array([[measures[name] for name in axes] for measures in values.values()])
    low, high = table.min(axis=0), table.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    radii = INNER + (1 - INNER) * np.where(high > low, (table - low) / span, 1.0)
    angles = np.linspace(0, 2 * np.pi, len(axes), endpoint=False)
    figure = make_figure(width=7.5, height=6.5)
    axis = figure.add_subplot(projection="polar")
    for number, (name, row) in enumerate(zip(values, radii, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        axis.plot([*angles, angles[0]], [*row, row[0]], color=colour, label=name, marker="o", markersize=3)
        axis.fill(angles, row, color=colour, alpha=0.08)
    ends = [f"{name}\n{100 * bottom:.1f} to {100 * top:.1f} %" for name, bottom, top in zip(axes, low, high, strict=True)]
    axis.set_xticks(angles, ends, fontsize=7)
    axis.tick_params(pad=24)
    axis.spines["polar"].set_visible(False)
    axis.set_yticks([])
    axis.set_ylim(0, 1.05)
    axis.set_title(title, pad=24)
    figure.legend(fontsize=8, loc="outside lower center", ncols=3, frameon=False)
    return to_png(figure)


def _common(measures: Sequence[Mapping[str, float]]) -> list[str]:
    return [name for name in (measures[0] if measures else {}) if all(name in other for other in measures)]
