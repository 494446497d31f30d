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

from eocore.benchmark.ratios import Reading


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
    verdict = {True: "reached", False: "[bold]missed[/bold]", None: ""}[reading.met]
    figures = (f"{reading.reference:.4g} {reading.unit}", f"{reading.ours:.4g} {reading.unit}", f"{reading.reached:.2f}")
    return (reading.quantity, *figures, goal, reading.limit, "; ".join(part for part in (verdict, reading.note) if part))


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


def draw_ratios(path: Path, found: Mapping[str, tuple[str, Sequence[Reading]]]) -> None:
    """PNG: reached ratios as bars on a logarithmic scale, goals as marks; what such a scale cannot show as text."""
    from matplotlib.figure import Figure

    rows = [(f"{name} {reading.quantity}", reading) for name, (_, readings) in found.items() for reading in readings]
    figure = Figure(figsize=(7.0, 1.2 + 0.3 * len(rows)), layout="constrained")
    axis = figure.subplots()
    places = range(len(rows) - 1, -1, -1)
    placed = [(place, reading) for place, (_, reading) in zip(places, rows, strict=True)]
    shown = [(place, reading.reached) for place, reading in placed if 0 < reading.reached < math.inf]
    axis.barh([place for place, _ in shown], [reached for _, reached in shown], color="#0072B2", label="reached")
    for place, reading in placed:
        if not 0 < reading.reached < math.inf:
            text = "nothing left" if reading.reached > 0 else f"{reading.reached:.4g}"
            axis.annotate(text, (0, place), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center", fontsize=8)
    marked = [(place, reading.goal) for place, reading in placed if reading.goal and reading.goal < math.inf]
    axis.plot([goal for _, goal in marked], [place for place, _ in marked], "|", color="#D55E00", ms=14, mew=2.5, label="goal")
    axis.set_yticks(places, [name for name, _ in rows], fontsize=8)
    axis.set(xscale="log", xlabel="reference / ours")
    axis.legend(frameon=False)
    figure.savefig(path, dpi=150)
