"""A training of the bridge in bfloat16, as on current GPUs: it follows the one in float32, and the frozen encoder stays as it is."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from mmengine.config import Config

pytest.importorskip("olmoearth_pretrain_minimal")
from eocore.system import systems_of_config
from eocore.train.checkpoint.weights import read_weights
from eocore.train.launch import train

STEPS = 4


@pytest.fixture(autouse=True)
def kept_environment() -> Iterator[None]:
    """A training started alone sets the variables of a group of one; later tests must not inherit them."""
    with mock.patch.dict(os.environ):
        yield


def config_of(task: dict[str, Any], *, precision: str) -> Config:
    config = Config(
        {
            "seed": 0,
            "systems": ["earthfm"],
            "task": {"type": "EarthFmTask", **task},
            "training": {"max_iters": STEPS, "accumulation": 1, "clip_norm": 1.0, "precision": precision, "deepspeed": "deepspeed_zero2"},
            "guard": {"max_in_a_row": 5, "spike_sigmas": 6.0},
            "optimizer": {"lr": 1e-3, "weight_decay": 0.0},
            "schedule": {"warmup_ratio": 0.0, "final_ratio": 1.0},
            "hooks": {
                "metrics": {"type": "MetricsHook", "interval": 1},
                "checkpoint": {"type": "CheckpointHook", "interval": STEPS, "keep": 1},
            },
            "tracking": [],
        }
    )
    systems_of_config(config)
    return config


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "scalars.jsonl").read_text().splitlines()]


def test_bfloat16_follows_float32(make_fields: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    fields = make_fields(lora={"rank": 2, "alpha": 4, "dropout": 0.0}, trainable=["connector"])
    for precision in ("fp32", "bf16"):
        train(config_of(fields, precision=precision), tmp_path / precision)
    found, expected = losses(tmp_path / "bf16"), losses(tmp_path / "fp32")
    assert len(found) == STEPS and found != expected, "bfloat16 rounds"
    assert found == pytest.approx(expected, rel=0.02)
    saved, reference = (read_weights(tmp_path / precision / f"iter_{STEPS:06d}") for precision in ("bf16", "fp32"))
    assert set(saved) == set(reference) and any(".lora_B." in name for name in saved) and any(".connector." in name for name in saved)
    assert not any(".encoder." in name for name in saved), "what is frozen is not saved"
    assert all(torch.isfinite(value).all() for value in saved.values())
    assert {value.dtype for value in saved.values()} == {torch.float32}, "masters are kept whole"
    moved = [name for name in saved if ".lora_B." in name]
    assert all(saved[name].abs().max() > 0 for name in moved), "LoRA's second factor begins at 0"
