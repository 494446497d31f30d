"""A training with packs that stops and continues gives what one without a stop gives."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from mmengine.config import Config

from eocore.config import load_config
from eocore.errors import CheckpointError
from eocore.synthetic.world import write_world
from eocore.system import systems_of_config
from eocore.train.launch import train

STEPS = 4


@pytest.fixture(autouse=True)
def kept_environment() -> Iterator[None]:
    """A training started alone sets the variables of a group of one; later tests must not inherit them."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads of a CPU add up in another order each time: the norm of the gradient then differs in its last digit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"train": 6}, size=48)
    return root


def make_config(world: Path, repo_root: Path, **packing: Any) -> Config:
    with mock.patch.dict(os.environ, {"SYNTHETIC_ROOT": str(world)}):
        config = load_config(
            repo_root / "configs" / "earthmind" / "earthmind_tiny_synthetic.py",
            {
                "+task.packing": {"max_tokens": 1024, "folder": None, "together": 2, **packing},
                "task.batch_size": 1,
                "task.row_length": None,
                "task.num_workers": 0,
                "task.model.vision_config.num_hidden_layers": 1,
                "task.model.vision_config.hidden_size": 32,
                "task.model.vision_config.intermediate_size": 64,
                "task.model.text_config.num_hidden_layers": 1,
                "task.model.text_config.hidden_size": 64,
                "task.model.text_config.intermediate_size": 128,
                "task.losses.num_points": 64,
                "+task.lora": {"rank": 2, "alpha": 4, "dropout": 0.5},  # draws of the training must not depend on when sizes are found
                "+task.trainable": ["projector", "fusion", "seg_head"],
                "training.max_iters": STEPS,
                "training.accumulation": 2,
                "training.precision": "fp32",
            },
        )
    config.tracking = []
    config.hooks = {"metrics": {"type": "MetricsHook", "interval": 1}, "checkpoint": {"type": "CheckpointHook", "interval": 2, "keep": 4}}
    systems_of_config(config)
    return config


def losses(work_dir: Path) -> dict[int, tuple[float, float, float]]:
    """Step -> loss, loss of the text, norm of the gradient."""
    lines = [json.loads(line) for line in (work_dir / "scalars.jsonl").read_text().splitlines()]
    return {line["step"]: (line["loss"], line["loss_text"], line["grad_norm"]) for line in lines}


def test_what_comes_after_a_stop_is_what_would_have_come(world: Path, repo_root: Path, tmp_path: Path) -> None:
    train(make_config(world, repo_root), tmp_path / "whole")
    whole = losses(tmp_path / "whole")
    assert sorted(whole) == list(range(1, STEPS + 1)) and len(set(whole.values())) == STEPS
    stop = str(tmp_path / "whole" / "iter_000002")
    train(make_config(world, repo_root), tmp_path / "parts", resume=stop)
    assert losses(tmp_path / "parts") == {step: found for step, found in whole.items() if step > 2}
    with pytest.raises(CheckpointError, match=r"samples are packed otherwise .*--allow data"):
        train(make_config(world, repo_root, max_tokens=700), tmp_path / "other", resume=stop)
