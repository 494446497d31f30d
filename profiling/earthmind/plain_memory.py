"""Memory of training steps beside the plain stack's, and their speed where both may take as much."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from earthmind.task import EarthMindTask
from eocore.train.planning.memory import LiveMemory
from profiling.earthmind.plain_comparison import Effort, Row, build_side, training_step
from profiling.earthmind.plain_stack import PlainStep
from profiling.measures.isolation import run_module
from profiling.measures.memory import GIB, PeakMemory, measure_peak

SIDES = ("ours", "plain")
CHOICES = ("none", "selective", "attention", "full")
"""Of recomputation, from the fastest to the one that keeps least."""
MIB = 2**20


def compare_plain_memory(config: Mapping[str, Any], name: str) -> Row:
    """Peaks of a forward and backward with nothing recomputed, each side in a fresh process.

    Raises:
        EOError: a process failed.
    """
    peaks = {}
    for side in SIDES:
        order = json.dumps({"config": dict(config), "name": name, "side": side})
        output = run_module("profiling.earthmind.plain_memory", what=f"the {side} step of {name}", given=order)
        peaks[side] = PeakMemory(**json.loads(output.splitlines()[-1]))
    ours, plain = peaks["ours"].rise / GIB, peaks["plain"].rise / GIB
    return {"what": f"memory of a train step, {name}", "plain GiB": plain, "ours GiB": ours, "ours / plain": ours / plain}


def compare_equal_memory(config: Mapping[str, Any], names: Sequence[str], *, effort: Effort) -> list[Row]:
    """Forward and backward where ours may take as much memory as the plain stack, which once recomputes nothing, once all layers.

    Memory is the highest number of bytes in tensors made by the step, gradients among them: no allocator's blocks blur it.
    Ours is the first of `CHOICES` that takes no more; where none does, the one that keeps least, and its row shows that it takes more.
    """
    rows = []
    for recompute, told in ((False, "plain: nothing recomputed"), (True, "plain: all layers recomputed")):
        for name in names:
            limit = _peak_of_plain(config, name, recompute=recompute)
            task, choice, peak = _fitting(config, name, limit=limit)
            plain = PlainStep(task, recompute=recompute)
            works = {"ours": training_step(task, None, name=name), "plain": training_step(task, plain, name=name)}
            row = effort.row(f"train {name}, {told}, ours: {choice}", works)
            rows.append({**row, "plain MiB": limit / MIB, "ours MiB": peak / MIB})
    return rows


def _fitting(config: Mapping[str, Any], name: str, *, limit: int) -> tuple[EarthMindTask, str, int]:
    """Our task with the fastest choice whose step takes at most `limit` bytes, its name, and the bytes."""
    for choice in CHOICES:
        task = build_side(config, choice)
        peak = count_peak(task, None, name=name)
        if peak <= limit:
            break
    return task, choice, peak


def _peak_of_plain(config: Mapping[str, Any], name: str, *, recompute: bool) -> int:
    task = build_side(config, "none")
    return count_peak(task, PlainStep(task, recompute=recompute), name=name)


def count_peak(task: EarthMindTask, plain: PlainStep | None, *, name: str) -> int:
    """The most bytes in tensors that a forward and backward makes, of the task or of the plain stack."""
    model = task if plain is None else plain.model
    work = training_step(task, plain, name=name)
    existing = [*model.parameters(), *model.buffers()]
    with LiveMemory(existing) as memory:
        work()
    return memory.peak


def _main(order: Mapping[str, Any]) -> None:
    task = build_side(order["config"], "none")
    plain = PlainStep(task) if order["side"] == "plain" else None
    work = training_step(task, plain, name=order["name"])
    work()
    sys.stdout.write(json.dumps(asdict(measure_peak(work))) + "\n")


if __name__ == "__main__":
    _main(json.load(sys.stdin))
