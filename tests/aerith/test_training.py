"""The stages after one another: each from the checkpoint of the one before, validated by answers, resumed as if it had never stopped."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from aerith_models import MODEL, PARTS
from mmengine.config import Config

from eocore.predict.validation import ScoredAnswers
from eocore.system import systems_of_config
from eocore.train.checkpoint.weights import read_weights
from eocore.train.launch import train


@pytest.fixture(autouse=True)
def kept_environment() -> Iterator[None]:
    """A training started alone sets the variables of a group of one; later tests must not inherit them."""
    with mock.patch.dict(os.environ):
        yield


def config_of(task: dict[str, Any], *, steps: int, **training: Any) -> Config:
    config = Config(
        {
            "seed": 0,
            "systems": ["aerith"],
            "task": task,
            "training": {
                "max_iters": steps,
                "accumulation": 1,
                "clip_norm": 1.0,
                "precision": "fp32",
                "deepspeed": "deepspeed_zero2",
                **training,
            },
            "guard": {"max_in_a_row": 5, "spike_sigmas": 6.0},
            "optimizer": {"lr": 1e-3, "weight_decay": 0.0},
            "schedule": {"warmup_ratio": 0.0, "final_ratio": 1.0},
            "hooks": {
                "metrics": {"type": "MetricsHook", "interval": 1},
                "checkpoint": {"type": "CheckpointHook", "interval": 2, "keep": 5},
            },
            "tracking": [],
        }
    )
    systems_of_config(config)
    return config


def test_stages_follow_one_another_and_resume(
    make_fields: Callable[..., dict[str, Any]], world: Path, scene_images: dict[str, Any], tmp_path: Path
) -> None:
    data = make_fields()["data"]
    towers = {"clip": "new", "dinov3": "new"}
    align = {"type": "AerithAlignmentTask", "model": {**MODEL, "parts": towers}, "data": data, "batch_size": 2, "num_workers": 0}
    train(config_of(align, steps=2), tmp_path / "stage0")
    assert set(read_weights(tmp_path / "stage0" / "iter_000002")) == {"model.head.weight", "model.head.bias"}

    model = {**MODEL, "parts": {**PARTS, "head": str(tmp_path / "stage0")}}
    task = {"type": "AerithTask", **make_fields(model=model, batch_size=2)}
    validation = {"every": 2, "data": data, "metrics": ["vqa"], "samples": 4, "max_new_tokens": 4, "settings": {"optical": ["rgb"]}}
    whole = config_of(task, steps=4, validation=validation)
    train(whole, tmp_path / "whole", answers=ScoredAnswers)
    lines = [json.loads(line) for line in (tmp_path / "whole" / "scalars.jsonl").read_text().splitlines()]
    names = {name for line in lines for name in line if name.startswith("val/")}
    assert {"val/loss", "val/token_accuracy"} <= names and any("vqa" in name for name in names)

    expected = read_weights(tmp_path / "whole" / "iter_000004")
    assert any(".lora_B." in name for name in expected) and any(".pooler." in name for name in expected)
    train(whole, tmp_path / "resumed", resume=str(tmp_path / "whole" / "iter_000002"), answers=ScoredAnswers)
    again = read_weights(tmp_path / "resumed" / "iter_000004")
    assert set(again) == set(expected) and all(torch.equal(again[name], value) for name, value in expected.items())
