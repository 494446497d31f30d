"""Readings as a table, as JSON and as a plot."""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers
from rich import box
from rich.table import Table

from profiling.ratios.ratio import Reading


def describe_machine() -> dict[str, Any]:
    """What figures depend on beside the code: processor, threads, GPU, versions."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def ratio_table(found: Mapping[str, tuple[str, Sequence[Reading]]]) -> Table:
    """One row for each quantity of each ratio.

    Args:
        found: id -> (what is compared, its readings).
    """
    columns = ("id", "what", "quantity", "reference", "ours", "reached", "goal", "limit", "")
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for name, (what, readings) in found.items():
        for number, reading in enumerate(readings):
            first = (name, what) if number == 0 else ("", "")
            table.add_row(*first, *_cells(reading))
    return table


def _cells(reading: Reading) -> tuple[str, ...]:
    sign = "≥" if reading.at_least else "≤"
    goal = "" if reading.goal is None else f"{sign} {reading.goal:g}"
    state = {True: "reached", False: "[bold]missed[/bold]", None: ""}[reading.met]
    figures = (f"{reading.reference:.4g} {reading.unit}", f"{reading.ours:.4g} {reading.unit}", f"{reading.reached:.2f}")
    return (reading.quantity, *figures, goal, reading.limit, "; ".join(part for part in (state, reading.note) if part))


def ratios_as_json(found: Mapping[str, tuple[str, Sequence[Reading]]]) -> dict[str, Any]:
    """The same for a file."""
    ratios = {
        name: {"what": what, "readings": [asdict(reading) | {"met": reading.met} for reading in readings]}
        for name, (what, readings) in found.items()
    }
    return {"machine": describe_machine(), "ratios": ratios}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """`content`, readable, at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


BAR_COLOURS = {"goal reached": "#0072B2", "goal missed": "#D55E00", "no goal": "#999999"}
"""Told apart with every kind of colour vision. Source: M. Okabe and K. Ito, Color Universal Design, 2008."""
GOAL_MARKS = {True: (">", "goal: at least"), False: ("<", "goal: at most")}
"""Whether a goal is to be reached or not to be passed -> its mark, pointing to where the bar should end, and what it is called."""


def draw_ratios(path: Path, found: Mapping[str, tuple[str, Sequence[Reading]]]) -> None:
    """PNG: what was reached as bars on a logarithmic scale, goals as marks; what such a scale cannot show as text."""
    from matplotlib.figure import Figure

    rows = [(f"{name} {reading.quantity}", reading) for name, (_, readings) in found.items() for reading in readings]
    figure = Figure(figsize=(7.0, 1.2 + 0.3 * len(rows)), layout="constrained")
    axis = figure.subplots()
    ys = range(len(rows) - 1, -1, -1)
    placed = [(y, reading) for y, (_, reading) in zip(ys, rows, strict=True)]
    for state, colour in BAR_COLOURS.items():
        shown = [(y, reading.reached) for y, reading in placed if _state(reading) == state and 0 < reading.reached < math.inf]
        if shown:
            axis.barh([y for y, _ in shown], [reached for _, reached in shown], color=colour, label=state)
    for y, reading in placed:
        if not 0 < reading.reached < math.inf:
            text = "nothing left" if reading.reached > 0 else f"{reading.reached:.4g}"
            axis.annotate(text, (0, y), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center", fontsize=8)
    for at_least, (mark, label) in GOAL_MARKS.items():
        marked = [(y, reading.goal) for y, reading in placed if reading.goal and reading.goal < math.inf and reading.at_least == at_least]
        if marked:
            axis.plot([goal for _, goal in marked], [y for y, _ in marked], mark, color="black", ms=7, label=label)
    axis.set_yticks(ys, [name for name, _ in rows], fontsize=8)
    axis.set(xscale="log", xlabel="reference / ours; fractions and bytes as they are")
    axis.legend(frameon=False, loc="upper right")
    figure.savefig(path, dpi=150)


def _state(reading: Reading) -> str:
    if reading.goal is None:
        return "no goal"
    return "goal reached" if reading.met else "goal missed"
