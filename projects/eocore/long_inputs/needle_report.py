"""The page of a needle test: heat maps of accuracy, means beside the controls, memory and time against length."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest

from eocore.evaluate.reporting.pages import Heading, Note, PageOptions, Part, Picture, write_pages
from eocore.evaluate.reporting.plots import make_figure, to_png
from eocore.evaluate.reporting.tables import TextTable
from eocore.files import write_file
from eocore.long_inputs.haystacks import Haystack
from eocore.long_inputs.needle_test import Cell
from eocore.portable.long_options import OFF

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELLS = "cells.jsonl"
NAMES = {
    "compress": "compression tokens",
    "pool": "mean pooling",
    "drop": "random drop",
    "choose": "windows by the question",
    OFF: "all tokens",
}
MIB = 2**20
COLUMNS = 4
"""Heat maps in a row."""


def write_needle_report(folder: Path, cells: Sequence[Cell], *, haystack: Haystack, model: str) -> Path:
    """Writes cells.jsonl and report.html, and returns the path of the page.

    Args:
        folder: made where absent.
        cells: of `run_needle_test`.
        haystack: that was asked about.
        model: its name.

    Raises:
        OutputError: a file cannot be written.
    """
    write_file(folder / CELLS, "".join(json.dumps(cell.line()) + "\n" for cell in cells).encode())
    unit = haystack.unit
    parts: list[Part] = [
        Note(
            f"Model: {model}. Asked for: {haystack.about}; the same images under every method and ratio. "
            f"Chance is {100 * haystack.chance:.1f} %."
        ),
        accuracy_table(cells, unit=unit),
        Picture("Accuracy [%] by length and depth", "accuracy.png", draw_heat_maps(cells, unit=unit)),
        Picture("Keys and values, and time, against length", "memory.png", draw_costs(cells, unit=unit)),
        cost_table(cells, unit=unit),
        Heading("How to read it"),
        Note(
            "Depth 0 is the first place, 1 the last. Methods of one ratio leave the same number of vision tokens. Brackets: 95 % interval."
        ),
        Note("Slopes are those of a line through bytes against length; 1/ratio of the slope of all tokens is what compression promises."),
    ]
    return write_pages(folder, "Needle test", parts=parts, options=PageOptions(level=2))


def kinds_of(cells: Sequence[Cell]) -> list[tuple[str, int]]:
    """(method, ratio), each once, in their order."""
    return list(dict.fromkeys((cell.method, cell.ratio) for cell in cells))


def name_of(kind: tuple[str, int]) -> str:
    """What a method and ratio are called."""
    method, ratio = kind
    return NAMES[method] if method == OFF else f"{NAMES[method]}, ratio {ratio}"


def accuracy_table(cells: Sequence[Cell], *, unit: str) -> TextTable:
    """A row for each method and ratio, a column for each length."""
    lengths = sorted({cell.length for cell in cells})
    rows = []
    for kind in kinds_of(cells):
        row = [name_of(kind)]
        for length in lengths:
            own = [cell for cell in cells if (cell.method, cell.ratio) == kind and cell.length == length]
            right, count = sum(cell.right for cell in own), sum(cell.count for cell in own)
            interval = binomtest(right, count).proportion_ci(method="wilson")
            row.append(f"{100 * right / count:.1f} ({100 * interval.low:.0f} to {100 * interval.high:.0f})")
        rows.append(tuple(row))
    return TextTable("Accuracy [%], mean over the depths", ("method", *(f"{length} {unit}" for length in lengths)), tuple(rows))


def cost_table(cells: Sequence[Cell], *, unit: str) -> TextTable:
    """Keys and values at the longest length, and the slope of them against length, beside that of all tokens."""
    longest = max(cell.length for cell in cells)
    slopes = {kind: byte_slope(cells, kind) for kind in kinds_of(cells)}
    whole, rows = slopes.get((OFF, 1), math.nan), []
    for kind, slope in slopes.items():
        own = [cell for cell in cells if (cell.method, cell.ratio) == kind and cell.length == longest]
        tokens, size, seconds = (float(np.mean([getattr(cell, name) for cell in own])) for name in ("tokens", "cache_bytes", "seconds"))
        beside = "-" if math.isnan(slope) or math.isnan(whole) else f"1/{whole / slope:.1f}"
        rows.append((name_of(kind), f"{tokens:.0f}", f"{size / MIB:.2f}", beside, f"{seconds:.2f}"))
    header = ("method", "tokens remembered", "keys and values [MiB]", "slope, of all tokens'", "time of an answer [s]")
    return TextTable(f"Costs at {longest} {unit}", header, tuple(rows))


def byte_slope(cells: Sequence[Cell], kind: tuple[str, int]) -> float:
    """Bytes of keys and values for each tile, date or frame, by least squares; NaN of a single length."""
    own = [(cell.length, cell.cache_bytes) for cell in cells if (cell.method, cell.ratio) == kind]
    if len({length for length, _ in own}) < 2:
        return math.nan
    lengths, sizes = np.array(own, dtype=np.float64).T
    return float(np.polyfit(lengths, sizes, 1)[0])


def draw_heat_maps(cells: Sequence[Cell], *, unit: str) -> bytes:
    """PNG: a map for each method and ratio, lengths by depths."""
    lengths, depths = sorted({cell.length for cell in cells}), sorted({cell.depth for cell in cells})
    kinds = kinds_of(cells)
    columns = min(COLUMNS, len(kinds))
    rows = -(-len(kinds) // columns)
    width, height = columns * max(2.4, 0.42 * len(depths) + 1.2), rows * max(1.9, 0.32 * len(lengths) + 1.2)
    figure = make_figure(width=width, height=height)
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis in axes[len(kinds) :]:
        axis.axis("off")
    for axis, kind in zip(axes, kinds, strict=False):
        values = np.full((len(lengths), len(depths)), np.nan)
        for cell in cells:
            if (cell.method, cell.ratio) == kind:
                values[lengths.index(cell.length), depths.index(cell.depth)] = 100 * cell.right / cell.count
        _draw_map(axis, values, lengths=lengths, depths=depths)
        axis.set_ylabel(unit, fontsize=7)
        axis.set_title(name_of(kind), fontsize=8)
    return to_png(figure)


def _draw_map(axis: "Axes", values: np.ndarray, *, lengths: Sequence[int], depths: Sequence[float]) -> None:
    axis.imshow(values, cmap="RdYlGn", vmin=0, vmax=100, aspect="auto")
    axis.set_xticks(range(len(depths)), [f"{depth:g}" for depth in depths], fontsize=6)
    axis.set_yticks(range(len(lengths)), [str(length) for length in lengths], fontsize=6)
    axis.set_xlabel("depth", fontsize=7)
    for row, column in np.ndindex(*values.shape):
        axis.text(column, row, f"{values[row, column]:.0f}", ha="center", va="center", fontsize=6)


def draw_costs(cells: Sequence[Cell], *, unit: str) -> bytes:
    """PNG: bytes of keys and values, and seconds of an answer, against length, on logarithmic scales."""
    figure = make_figure(width=8.4, height=3.2)
    left, right = figure.subplots(1, 2)
    lengths = sorted({cell.length for cell in cells})
    for kind in kinds_of(cells):
        own = [[cell for cell in cells if (cell.method, cell.ratio) == kind and cell.length == length] for length in lengths]
        style = "--" if kind[0] not in ("compress", OFF) else "-"
        left.plot(lengths, [np.mean([cell.cache_bytes / MIB for cell in part]) for part in own], style, marker="o", markersize=3)
        right.plot(
            lengths, [np.mean([cell.seconds for cell in part]) for part in own], style, marker="o", markersize=3, label=name_of(kind)
        )
    left.set(xlabel=unit, ylabel="keys and values [MiB]", xscale="log", yscale="log")
    right.set(xlabel=unit, ylabel="an answer [s]", xscale="log", yscale="log")
    for axis in (left, right):
        axis.set_xticks(lengths, [str(length) for length in lengths])
        axis.tick_params(which="minor", labelbottom=False, labelsize=7)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    right.legend(fontsize=6, loc="upper left", bbox_to_anchor=(1.02, 1))
    return to_png(figure)
