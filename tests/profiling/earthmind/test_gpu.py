"""The measurement for a GPU, at a tiny size on the CPU: every row is there, and time that has run out is said."""

from typing import Any

import torch

from profiling.earthmind.gpu import CHOICES, GpuPlan, measure_gpu

SHAPES = (("alone", "vqa", 1, None), ("packed", "vqa", 3, 512), ("masks", "seg", 1, None))
PLACE = {"device": torch.device("cpu"), "dtype": torch.float32, "ceiling": 1e12}


def plan(**choices: Any) -> GpuPlan:
    return GpuPlan(shapes=SHAPES, new_tokens=3, repeats=1, **choices)


def test_every_shape_is_measured(settings: dict[str, Any]) -> None:
    rows = measure_gpu(settings, plan(seconds=300, choices=CHOICES[:2]), **PLACE)
    assert [row["what"] for row in rows] == [
        "decode, batch 1",
        "decode, batch 32",
        *(f"{name}, {choice}" for choice in ("all kept", "selective") for name, *_ in SHAPES),
    ]
    assert all(float(row["tokens/s"]) > 0 for row in rows)
    assert all(0 < float(row["MFU %"]) < 100 for row in rows[2:])


def test_what_no_time_is_left_for_is_named(settings: dict[str, Any]) -> None:
    rows = measure_gpu(settings, plan(seconds=-1, choices=CHOICES[:1]), **PLACE)
    assert [row[""] for row in rows] == ["no time was left"] * (1 + len(SHAPES))
