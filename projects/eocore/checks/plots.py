"""Pictures of what a check found: how much of each dataset is broken, and how its lengths, classes, masks and images are spread."""

import io
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eocore.checks.facts import DatasetFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GOOD, BROKEN = "#0072B2", "#D55E00"
"""Told apart by colour-blind readers too. Source: Okabe and Ito, Color Universal Design (2008)."""
MAX_BARS = 15
MAX_LABEL = 28
MAX_BINS = 40
DPI = 110


def draw_overview(facts: Sequence[DatasetFacts]) -> bytes:
    """PNG of good and broken records by dataset."""
    figure = _figure(9.0, 1.2 + 0.42 * len(facts))
    axes = figure.subplots()
    names = [_short(fact.name) for fact in facts]
    broken = np.array([fact.num_broken for fact in facts])
    good = np.maximum(np.array([fact.num_entries for fact in facts]) - broken, 0)
    rows = np.arange(len(facts))
    axes.barh(rows, good, color=GOOD, label="good")
    axes.barh(rows, broken, left=good, color=BROKEN, label="broken")
    for row, fact in enumerate(facts):
        text = f" {fact.num_entries:,}" + (f", {fact.num_broken:,} broken" if fact.num_broken else "")
        axes.text(float(good[row] + broken[row]), row, text, va="center", fontsize=8)
    axes.set_yticks(rows, names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("records", fontsize=9)
    axes.margins(x=0.25)
    axes.legend(fontsize=8, loc="lower right")
    return _png(figure)


def draw_dataset(facts: DatasetFacts) -> bytes:
    """PNG of one dataset: a panel for each thing that was found in it."""
    panels: list[tuple[str, str, Any]] = [("text of a record", "words", facts.lengths)] if facts.lengths else []
    panels += [(f"{kind} ({len(counts):,} different)", "records", counts) for kind, counts in facts.classes.items()]
    panels += [("fraction of the image a mask covers", "fraction, log scale", facts.mask_shares)] if facts.mask_shares else []
    panels += [("image size [px]", "images", facts.sizes)] if facts.sizes else []
    if any(max(fractions) > 0 for fractions in facts.nodata.values() if fractions):
        panels.append(("pixels without data", "fraction", [fraction for fractions in facts.nodata.values() for fraction in fractions]))
    columns = min(3, max(1, len(panels)))
    rows = -(-max(1, len(panels)) // columns)
    figure = _figure(4.4 * columns, 3.3 * rows)
    for number, (title, label, values) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, number)
        if isinstance(values, Counter):
            _bars(axes, values)
        else:
            _histogram(axes, values, log="log" in label)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(label, fontsize=8)
        axes.tick_params(labelsize=7)
    if not panels:
        figure.text(0.5, 0.5, "nothing to draw", ha="center", fontsize=10)
    return _png(figure)


def _bars(axes: "Axes", counts: Counter[str]) -> None:
    shown = counts.most_common(MAX_BARS)
    rest = counts.total() - sum(count for _, count in shown)
    shown += [(f"{len(counts) - len(shown):,} others", rest)] if rest else []
    axes.barh(range(len(shown)), [count for _, count in shown], color=GOOD)
    axes.set_yticks(range(len(shown)), [_short(name) for name, _ in shown])
    axes.invert_yaxis()


def _histogram(axes: "Axes", values: Sequence[float], *, log: bool) -> None:
    found = np.asarray(values, dtype=np.float64)
    if log:
        found = found[found > 0]
        low = np.log10(found.min()) if found.size else -1.0
        axes.set_xscale("log")
        axes.hist(found, bins=list(np.logspace(min(low, -0.5), 0, 30)), color=GOOD)
    else:
        whole = not (found % 1).any() and found.max() - found.min() < MAX_BINS
        bins = list(np.arange(found.min() - 0.5, found.max() + 1)) if whole else MAX_BINS
        axes.hist(found, bins=bins, color=GOOD)
        axes.axvline(float(np.median(found)), color=BROKEN, linewidth=1, label=f"median {np.median(found):.4g}, largest {found.max():.4g}")
        axes.legend(fontsize=7)
    axes.set_ylabel("count", fontsize=8)


def _short(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text).replace("$", r"\$")
    return plain if len(plain) <= MAX_LABEL else plain[: MAX_LABEL - 1] + "…"


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()
