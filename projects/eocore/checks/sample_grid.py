"""Rows of samples as one PNG: the pictures of a record side by side, its words beside them."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eocore.evaluate.reporting.pages import PLAIN, SampleRow
from eocore.evaluate.reporting.plots import Colour, make_figure, to_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANEL_INCHES, WORDS_INCHES = 2.6, 4.6
LINE_CHARACTERS, MAX_LINES = 62, 15
"""Of the words beside the pictures: what fits at their size; how many lines more there are is said."""
FONT, SMALL = 8.5, 7.5
GREY, BLACK = "#5a6068", "#1b1f24"


def draw_grid(rows: Sequence[SampleRow], title: str) -> bytes:
    """PNG of some samples, one below the other.

    Args:
        rows: at least one.
        title: above them.
    """
    columns = max(1, *(len(row.panels) for row in rows))
    figure = make_figure(width=PANEL_INCHES * columns + WORDS_INCHES, height=0.4 + (PANEL_INCHES + 0.35) * len(rows))
    figure.suptitle(_plain(title), fontsize=11, x=0.01, ha="left")
    widths = [PANEL_INCHES] * columns + [WORDS_INCHES]
    grid = figure.subplots(len(rows), columns + 1, squeeze=False, gridspec_kw={"width_ratios": widths})
    for row, axes in zip(rows, grid, strict=True):
        for axis in axes:
            axis.axis("off")
        for axis, panel in zip(axes, row.panels, strict=False):
            axis.imshow(panel.image, interpolation="nearest")
            axis.set_title("\n".join(textwrap.wrap(_plain(panel.title), 40)), fontsize=SMALL, loc="left")
        _write_words(axes[-1], row)
    return to_png(figure)


def _write_words(axes: "Axes", row: SampleRow) -> None:
    """The title in grey, then all words; a square in the colour of a mask or box begins what belongs to it."""
    lines: list[tuple[str, Colour | None, str]] = [(line, None, GREY) for line in _wrapped(row.title)]
    for words in row.words:
        marks = [words.colour if words.colour != PLAIN else None]
        texts = _wrapped(f"{words.label}: {words.text}")
        lines += [(line, mark, BLACK) for line, mark in zip(texts, marks + [None] * len(texts), strict=False)]
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], (f"... and {len(lines) - MAX_LINES + 1} lines more", None, GREY)]
    for number, (line, mark, colour) in enumerate(lines):
        height = 1.0 - number / MAX_LINES
        axes.text(0.045, height, s=_plain(line), color=colour, fontsize=FONT, va="top", transform=axes.transAxes)
        if mark is not None:
            shown = tuple(value / 255 for value in mark)
            axes.text(0.0, height, s="\u25a0", color=shown, fontsize=FONT + 3, va="top", transform=axes.transAxes)


def _wrapped(text: str) -> list[str]:
    return [line for part in text.splitlines() for line in textwrap.wrap(part, LINE_CHARACTERS)] or [""]


def _plain(text: str) -> str:
    """Text that matplotlib does not take for a formula."""
    return text.replace("$", r"\$")
