"""Our forward and backward beside the upstream step's structure, kind by kind, in one run: a ratio free of the machine's load."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from earthmind.task import EarthMindTask
from eocore.train.device import local_device
from profiling.earthmind.setting import build_setting
from profiling.earthmind.steps import STEP_SIDES, forward_backward, measure_step_memory
from profiling.measures.isolation import run_module
from profiling.measures.memory import GIB, PeakMemory
from profiling.measures.timing import time_in_turn

SPEED_GOALS = {"vqa": 3.0, "seg": 1.15, "pair": 2.3, "region": 3.0, "vqa5": 2.0, "seg10": 2.0}
"""Upstream seconds / ours, at least, for configs/benchmark/bench_mid.py on two CPU cores."""
MEMORY_GOALS = {"vqa5": 0.6, "seg10": 0.6}
"""Our peak / upstream peak, at most."""


def compare_step(task: EarthMindTask, name: str, *, repeats: int, with_upstream: bool = True) -> dict[str, float]:
    """Seconds of one forward and backward of a sample kind, the fastest of `repeats`, both sides in turn; and of SAM 2's encoder alone."""
    device = next(task.parameters()).device
    sides = STEP_SIDES if with_upstream else STEP_SIDES[:1]
    works: dict[str, Any] = {side: forward_backward(task, name, side=side, device=device) for side in sides}
    size = task.model.config.sam_config.prompt_encoder_config.image_size
    black_image = torch.zeros(1, task.model.config.grounding_channels, size, size, dtype=torch.uint8, device=device)
    works["SAM 2 encoder"] = lambda: task.model.seg_head.encode(black_image)
    times = time_in_turn(works, repeats=repeats)
    return {side: found.best for side, found in times.items()}


def compare_memory(config: Mapping[str, Any], name: str, *, changes: Mapping[str, Any]) -> dict[str, PeakMemory]:
    """Peak of each side, each in a fresh process.

    Raises:
        EOError: a process failed.
    """
    return {side: _memory(config, name, side=side, changes=changes) for side in STEP_SIDES}


def _memory(config: Mapping[str, Any], name: str, *, side: str, changes: Mapping[str, Any]) -> PeakMemory:
    """Peak of a side, in a fresh process."""
    order = json.dumps({"config": dict(config), "name": name, "side": side, "changes": dict(changes)})
    output = run_module("profiling.earthmind.comparison", what=f"the {side} step of {name}", given=order)
    return PeakMemory(**json.loads(output.splitlines()[-1]))


def compare_tasks(config: Mapping[str, Any], other: Mapping[str, Any], *, name: str, repeats: int, memory: bool) -> dict[str, float | str]:
    """One forward and backward of a sample kind as two configs have it, timed in turn, as a row: column -> value.

    Args:
        config, other: the tasks.
        name: of the sample kind.
        repeats: timed calls of each; the fastest counts.
        memory: peaks too, each in a fresh process.

    Raises:
        EOError: a process failed.
    """
    device, sides = local_device(), {"config": config, "other": other}
    works: dict[str, Any] = {
        side: forward_backward(build_setting(task, device=device, dtype=torch.float32), name, side="ours", device=device)
        for side, task in sides.items()
    }
    times = {side: found.best for side, found in time_in_turn(works, repeats=repeats).items()}
    row: dict[str, float | str] = {
        "kind": name,
        "config s": times["config"],
        "other s": times["other"],
        "time, other / config": times["other"] / times["config"],
    }
    if memory:
        peaks = {side: _memory(task, name, side="ours", changes={}) for side, task in sides.items()}
        row |= {
            "config rise GiB": peaks["config"].rise / GIB,
            "other rise GiB": peaks["other"].rise / GIB,
            "memory, other / config": peaks["other"].rise / peaks["config"].rise,
        }
    return row


def comparison_row(name: str, seconds: Mapping[str, float], *, peaks: Mapping[str, PeakMemory] | None) -> dict[str, float | str]:
    """Column -> value."""
    ratio = seconds.get("upstream", float("nan")) / seconds["ours"]
    row: dict[str, float | str] = {
        "kind": name,
        "upstream s": seconds.get("upstream", float("nan")),
        "ours s": seconds["ours"],
        "faster x": ratio,
        "goal x": SPEED_GOALS.get(name, float("nan")),
        "SAM 2 encoder s": seconds["SAM 2 encoder"],
    }
    if peaks is not None:
        upstream, ours = (peaks[side].peak / GIB for side in ("upstream", "ours"))
        row |= {
            "upstream GiB": upstream,
            "ours GiB": ours,
            "fraction": ours / upstream,
            "goal fraction": MEMORY_GOALS.get(name, float("nan")),
        }
    return row


def _main(order: Mapping[str, Any]) -> None:
    peak = measure_step_memory(order["config"], order["name"], side=order["side"], changes=order["changes"])
    sys.stdout.write(json.dumps(asdict(peak)) + "\n")


if __name__ == "__main__":
    _main(json.load(sys.stdin))
