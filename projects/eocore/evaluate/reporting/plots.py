"""Pictures of results: masks over images, training curves, scores with their intervals."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from eocore.errors import ConfigError, DataError
from eocore.evaluate.reporting.tables import METRIC_NAMES
from eocore.evaluate.scoring.intervals import Value
from eocore.evaluate.scoring.scores import Scores
from eocore.evaluate.tasks import TASKS
from eocore.scalar_names import VALIDATED, measures_of, points
from eocore.scalars import smooth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Colour = tuple[int, int, int]

TRUTH_COLOUR: Colour = (255, 140, 0)
PREDICTION_COLOUR: Colour = (204, 0, 153)
SETTING_COLOURS = {
    "optical": "#0072B2",
    "sar": "#D55E00",
    "multispectral": "#CC79A7",
    "fused": "#009E73",
    "grey_sar": "#56B4E9",
    "grey_rgb": "#E69F00",
}
"""Told apart by colour-blind readers too. Source: Okabe and Ito, Color Universal Design (2008)."""

HELD_OUT_LOSS = f"{VALIDATED}loss"
LINE_STYLES = ("-", "--", ":", "-.")
_OPACITY = 0.45
_DPI = 150
_AXIS_TOP = 105.0
_LABEL_GAP, _LABEL_HEIGHT = 3.0, 10.0
"""Of the numbers in a chart of scores, on its axis of 105 % and 1.6 inches; they are 10 points high."""


@dataclass(frozen=True)
class Panel:
    """One picture of a row: `image` is (H, W, 3) uint8."""

    title: str
    image: np.ndarray


@dataclass(frozen=True)
class OverlayRow:
    """One test scene: what was shown, what was asked for, what was drawn under each setting."""

    title: str
    panels: tuple[Panel, ...]


def draw_overlay(image: np.ndarray, mask: np.ndarray, *, colour: Colour) -> np.ndarray:
    """(H, W, 3) uint8: the image with the mask tinted, and its inner border in full colour.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) bool.
        colour: red, green, blue [0..255].

    Raises:
        DataError: the image is not (H, W, 3) uint8, or the mask not bool of its size.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(f"an overlay is drawn on (H, W, 3) uint8, found {image.shape} {image.dtype}. Render the scene for display first.")
    if mask.shape != image.shape[:2] or mask.dtype != np.bool_:
        raise DataError(
            f"the mask must be bool and {image.shape[:2]} like the image, found {mask.shape} {mask.dtype}. Resize or threshold it."
        )
    tint = np.array(colour, dtype=np.float64)
    drawn = image.copy()
    drawn[mask] = np.rint((1.0 - _OPACITY) * image[mask] + _OPACITY * tint).astype(np.uint8)
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    drawn[mask & ~inside] = colour
    return drawn


def overlay_row(
    *, title: str, images: Mapping[str, np.ndarray], truth: np.ndarray, predictions: Mapping[str, np.ndarray | None]
) -> OverlayRow:
    """The row of one scene and phrase: each image, the truth, and each setting's mask with its IoU.

    Args:
        title: the phrase.
        images: display images by setting, (H, W, 3) uint8: "optical", "sar", or both. A setting without an image of its own is drawn on
            the first.
        truth: (H, W) bool.
        predictions: setting -> (H, W) bool, None where nothing was drawn.

    Raises:
        DataError: sizes differ.
    """
    first = next(iter(images.values()))
    panels = [Panel(setting, image) for setting, image in images.items()]
    panels.append(Panel("truth", draw_overlay(first, truth, colour=TRUTH_COLOUR)))
    for setting, mask in predictions.items():
        background = images.get(setting, first)
        if mask is None:
            panels.append(Panel(f"{setting}: no mask", background))
            continue
        drawn = draw_overlay(background, mask, colour=PREDICTION_COLOUR)
        union = int((mask | truth).sum())
        iou = int((mask & truth).sum()) / union if union else 1.0
        panels.append(Panel(f"{setting}: IoU {iou:.2f}", drawn))
    return OverlayRow(title, tuple(panels))


def encode_png(image: np.ndarray, *, max_side: int) -> bytes:
    """PNG file content.

    Args:
        image: (H, W, 3) uint8.
        max_side: a larger image is made smaller until neither side exceeds this [px].
    """
    buffer = io.BytesIO()
    picture = Image.fromarray(image)
    picture.thumbnail((max_side, max_side))
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def draw_curves(scalars: Sequence[Mapping[str, float]]) -> bytes:
    """PNG: the loss and its parts over the steps (faint as logged, strong smoothed), the loss and the answers on held-out data where the
    training was validated, and the learning rate.

    Args:
        scalars: logged steps, as `eocore.scalars.read_scalars` returns them.
    """
    losses = sorted({name for entry in scalars for name in entry if name.startswith("loss")})
    answers = measures_of(scalars)
    has_rate = any("lr" in entry for entry in scalars)
    ratios = [3, *([2] if answers else []), *([1] if has_rate else [])]
    figure = make_figure(width=5.6, height=1.1 + 1.15 * sum(ratios) - 0.25 * len(ratios))
    axes = list(figure.subplots(len(ratios), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios})[:, 0])
    for index, name in enumerate(losses):
        steps, values = points(scalars, name)
        axes[0].plot(steps, values, color=f"C{index}", alpha=0.25, linewidth=0.8)
        axes[0].plot(steps, smooth(values), color=f"C{index}", linewidth=1.8 if name == "loss" else 1.2, label=name)
    if any(HELD_OUT_LOSS in entry for entry in scalars):
        axes[0].plot(*points(scalars, HELD_OUT_LOSS), color="black", marker="o", markersize=3, linewidth=1.2, label="loss, held out")
    if losses:
        axes[0].set_yscale("log")
        axes[0].legend(fontsize=8, ncols=2)
    axes[0].set_ylabel("loss (log scale)")
    if answers:
        _draw_answers(axes[1], scalars, answers=answers)
    if has_rate:
        axes[-1].plot(*points(scalars, "lr"), color="0.3")
        axes[-1].set_ylabel("learning rate")
    axes[-1].set_xlabel("step")
    for axis in axes:
        axis.grid(alpha=0.3)
    return to_png(figure)


def _draw_answers(axis: "Axes", scalars: Sequence[Mapping[str, float]], *, answers: Mapping[str, Mapping[str, str]]) -> None:
    """Measures of answers by setting (colour) and measure (style)."""
    for number, (measure, names) in enumerate(answers.items()):
        style = LINE_STYLES[number % len(LINE_STYLES)]
        for setting, name in names.items():
            colour, label = SETTING_COLOURS.get(setting, "0.4"), f"{setting}: {measure}"
            axis.plot(*points(scalars, name), color=colour, linestyle=style, marker="o", markersize=3, linewidth=1.2, label=label)
    axis.set_ylabel("answers, held out")
    axis.legend(fontsize=6, ncols=2)


def draw_scores(scores: Scores) -> bytes:
    """PNG: one chart per task; groups of bars for all, clear and cloudy samples, one bar per setting, with 95 % intervals.

    Args:
        scores: with at least one scored task.
    """
    tasks = [task for task in TASKS if any(task in by_task for by_task in scores["settings"].values())]
    figure = make_figure(width=5.6, height=2.3 * len(tasks))
    for axis, task in zip(figure.subplots(len(tasks), 1, squeeze=False)[:, 0], tasks, strict=True):
        _draw_task(axis, scores, task=task)
    return to_png(figure)


def _draw_task(axis: "Axes", scores: Scores, *, task: str) -> None:
    present = {setting: by_task[task] for setting, by_task in scores["settings"].items() if task in by_task}
    headline = next(iter(present.values()))["headline"]
    groups = ["all", *sorted({group for item in present.values() for group in item["by_cloud"]})]
    width, top = 0.8 / len(present), _AXIS_TOP
    for index, (setting, item) in enumerate(present.items()):
        cells = {"all": item["overall"], **item["by_cloud"]}
        values = {at: cells[group]["metrics"][headline] for at, group in enumerate(groups) if group in cells}
        centres = np.array(list(values)) + (index - (len(present) - 1) / 2) * width
        heights, reach = [100 * value["value"] for value in values.values()], _reach(list(values.values()))
        axis.bar(centres, heights, width * 0.92, color=SETTING_COLOURS[setting], label=setting, zorder=2)
        axis.errorbar(centres, heights, yerr=reach, fmt="none", ecolor="0.2", capsize=3, linewidth=1, zorder=3)
        top = max(top, label_bars(axis, centres, heights=heights, reach=reach))
    chance = next(iter(present.values())).get("chance")
    if chance is not None:
        axis.axhline(100 * chance, color="0.3", linestyle="--", linewidth=1, label="chance")
    axis.set_xticks(range(len(groups)), groups)
    axis.set(title=f"{task}: {METRIC_NAMES.get(headline, headline)} [%]", ylim=(0, max(top, 1.05 * axis.get_ylim()[1])))
    axis.grid(axis="y", alpha=0.3)
    axis.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, handlelength=1.0)


def label_bars(axis: "Axes", centres: np.ndarray, *, heights: Sequence[float], reach: np.ndarray) -> float:
    """Writes each height into its bar, below the error bar, or above that where there is no room.

    Args:
        axis: of the bars, up to `_AXIS_TOP`.
        centres: (N,) of the bars.
        heights: of the bars [%].
        reach: (2, N) lengths of the error bars, downwards and upwards [%].

    Returns:
        Where the highest number ends [%].
    """
    top = 0.0
    for centre, height, (below, above) in zip(centres, heights, reach.T, strict=True):
        inside = height - below >= _LABEL_GAP + _LABEL_HEIGHT
        at, colour = (_LABEL_GAP, "white") if inside else (height + above + _LABEL_GAP, "0.2")
        ground = None if inside else {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # the line of chance may run there
        axis.text(centre, at, f"{height:.0f}", color=colour, fontweight="bold", ha="center", zorder=4, bbox=ground)
        top = max(top, at + _LABEL_HEIGHT)
    return top


def _reach(values: Sequence[Value]) -> np.ndarray:
    """(2, N) lengths of the error bars [%], 0 where there is no interval."""
    low = [value["value"] - value["low"] if value["low"] is not None else 0.0 for value in values]
    high = [value["high"] - value["value"] if value["high"] is not None else 0.0 for value in values]
    return 100 * np.clip([low, high], 0.0, None)


def make_figure(*, width: float, height: float) -> "Figure":
    """An empty figure [inches].

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "charts need matplotlib, which is not installed. Install the extra: pip install 'eocore-earthmind[eval]'."
        ) from error
    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def to_png(figure: "Figure") -> bytes:
    """The figure as the content of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
