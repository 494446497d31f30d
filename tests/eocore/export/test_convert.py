"""Which checkpoint is meant, what precision does to weights, and what cannot be converted."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

from eocore.errors import CheckpointError, ConfigError
from eocore.export import convert as conversion
from eocore.export.convert import Choices, convert, round_weights
from eocore.system import System
from eocore.train.task import Task


def make_run(folder: Path, *steps: int) -> Path:
    for step in steps:
        (folder / f"iter_{step:06d}").mkdir(parents=True)
        (folder / f"iter_{step:06d}" / "trainer.json").write_text("{}")
    (folder / "latest").write_text(f"iter_{steps[-1]:06d}\n")
    return folder


def test_rounded_weights_are_held_in_full_and_tied_ones_stay_tied() -> None:
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    model[1].weight = model[0].weight
    model.register_buffer("frequency", torch.tensor([1 / 3]))
    before = model[0].weight.detach().clone()
    round_weights(model, torch.bfloat16)
    assert model[1].weight is model[0].weight and model[0].weight.dtype == torch.float32
    assert torch.equal(model[0].weight, before.bfloat16().float()) and not torch.equal(model[0].weight, before)
    assert model.frequency.item() == pytest.approx(1 / 3, abs=1e-7)  # buffers are not rounded


def test_choices_are_checked_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dtype 'int8' is unknown; choices: float32, bfloat16, float16"):
        convert(Config({}), tmp_path, out_dir=tmp_path / "out", choices=Choices(dtype="int8"))
    with pytest.raises(ConfigError, match=r"none.json does not exist"):
        convert(Config({}), tmp_path, out_dir=tmp_path / "out", choices=Choices(scores=tmp_path / "none.json"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="holds a checkpoint"):
        convert(Config({}), tmp_path, out_dir=tmp_path / "out", choices=Choices())


def test_system_without_export_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lonely = System(name="lonely", model_types=(), task=lambda: Task)
    monkeypatch.setattr(conversion, "system_of_config", lambda config: lonely)
    with pytest.raises(ConfigError, match=r"system 'lonely' provides no part for it, so its models cannot be converted"):
        convert(Config({}), tmp_path, out_dir=tmp_path / "out", choices=Choices())


def test_config_of_another_training_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 500)
    (run / "iter_000500" / "trainer.json").write_text(
        json.dumps({"step": 500, "world_size": 1, "zero_stage": 0, "config": "task = dict(model=dict(width=8))"})
    )
    with pytest.raises(ConfigError, match=r"task.model of this config is not what .*iter_000500 was trained with"):
        convert(Config({"task": {"model": {"width": 4}}}), run / "latest", out_dir=tmp_path / "out", choices=Choices())
