"""Estimates: what a step would allocate is what it allocates."""

import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from earthmind.model.batching import Batch
from earthmind.planning.meta_task import example_batch, known_borders, outline
from earthmind.task import EarthMindTask
from eocore.config import load_config
from eocore.errors import ConfigError
from eocore.models.recompute import KINDS
from eocore.train.planning.estimate import StepShape
from eocore.train.planning.memory import StepMemory, as_fake, measure_step

VOCABULARY = 300
SHAPES = {
    "one sample": StepShape(tokens=80, text=30, supervised=8, masks=2),
    "two samples in a row": StepShape(tokens=120, samples=2, text=30, supervised=8, masks=3),
    "two rows": StepShape(tokens=60, rows=2, text=30, supervised=8, masks=1),
    "no image": StepShape(tokens=40, text=40, supervised=8, masks=0),
}
MID = {
    "vqa": StepShape(tokens=320, text=64, supervised=12, masks=0),
    "seg": StepShape(tokens=376, text=120, supervised=40, masks=5),
    "pair": StepShape(tokens=576, text=64, supervised=12, masks=0),
}
"""Samples of the mid size: one tile; one tile and five masks; a tile of each of two sensors."""


@pytest.fixture(scope="module")
def settings(make_fields: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """A task whose every kind of parameter trains or is frozen in part."""
    fields = make_fields(tie=False)
    fields["text_config"]["vocab_size"] = VOCABULARY
    return {
        "model": fields,
        "tokenizer": {"type": "PretrainedTokenizer", "path": "nowhere"},
        "processor": {"max_tiles": 1},
        "trainable": ["projector", "fusion", "seg_head.projector", "seg_head.sam.mask_decoder"],
        "trainable_tokens": ["[SEG]", "<p>"],
        "lora": {"rank": 2, "alpha": 4, "dropout": 0.1},
    }


@pytest.fixture(scope="module")
def mid_settings(repo_root: Path) -> dict[str, Any]:
    """The task of configs/benchmark/bench_mid.py."""
    return dict(load_config(repo_root / "configs" / "benchmark" / "bench_mid.py").task.to_dict())


@pytest.fixture(scope="module")
def mid_task(mid_settings: dict[str, Any]) -> EarthMindTask:
    """It with weights."""
    fields = {key: value for key, value in mid_settings.items() if key not in ("type", "data")}
    size = mid_settings["model"]["text_config"]["vocab_size"]
    return EarthMindTask(**{**fields, "tokenizer": {"type": "StandInTokenizer", "size": size}}).train()


def estimated(settings: dict[str, Any], shape: StepShape) -> StepMemory:
    task, mode = outline(settings), FakeTensorMode()
    as_fake(task, mode, dtype=torch.float32).train()
    with mode, known_borders(shape):
        return measure_step(task, example_batch(task, shape))


@pytest.fixture(scope="module")
def estimate(settings: dict[str, Any]) -> Callable[[str, str], StepMemory]:
    """Estimates by shape and kind of recomputation, each made once."""
    return cache(lambda name, kind: estimated({**settings, "gradient_checkpointing": kind}, SHAPES[name]))


def measured(settings: dict[str, Any], shape: StepShape) -> StepMemory:
    """The same step with weights, positions and memory."""
    torch.manual_seed(0)
    task = EarthMindTask(**{**settings, "tokenizer": {"type": "StandInTokenizer", "size": VOCABULARY}}).train()
    return measure_step(task, real_batch(task, shape))


def real_batch(task: EarthMindTask, shape: StepShape) -> Batch:
    batch = example_batch(task, shape)
    each = shape.tokens // shape.samples
    return batch._replace(position_ids=torch.arange(each).repeat(shape.samples).expand(shape.rows, -1).contiguous())


def pairs() -> list[Any]:
    """Every kind of one sample and every shape of one kind; the other pairs are marked slow."""
    return [
        pytest.param(name, kind, id=f"{name}-{kind}", marks=[] if name == "one sample" or kind == "selective" else [pytest.mark.slow])
        for name, kind in product(SHAPES, KINDS)
    ]


@pytest.mark.parametrize(("name", "kind"), pairs())
def test_a_step_without_memory_counts_what_one_with_memory_takes(
    settings: dict[str, Any], estimate: Callable[[str, str], StepMemory], name: str, kind: str
) -> None:
    expected, found = measured({**settings, "gradient_checkpointing": kind}, SHAPES[name]), estimate(name, kind)
    print(f"{name}: estimated {found}, measured {expected}")
    assert found.kept == pytest.approx(expected.kept, rel=0.01)
    assert found.peak == pytest.approx(expected.peak, rel=0.03)


def test_lean_layers_are_estimated_to_keep_less(settings: dict[str, Any], estimate: Callable[[str, str], StepMemory]) -> None:
    choice, shape = {**settings, "lean_layers": True}, SHAPES["one sample"]
    expected, found = measured(choice, shape), estimated(choice, shape)
    assert found.kept == pytest.approx(expected.kept, rel=0.01) and found.kept < estimate("one sample", "none").kept
    assert found.peak == pytest.approx(expected.peak, rel=0.03)


def test_fused_sensors_are_estimated_as_pairs(settings: dict[str, Any]) -> None:
    parts = [part for part in settings["trainable"] if part != "fusion"]  # it has no weights
    choice = {**settings, "model": {**settings["model"], "fusion": "hca"}, "trainable": parts}
    shape = SHAPES["one sample"]
    batch = example_batch(outline(choice), shape)
    assert batch.vision is not None and len(batch.vision.tiles) * outline(choice).model.config.tokens_per_tile == 2 * len(
        batch.vision.vision_index
    )
    expected, found = measured(choice, shape), estimated(choice, shape)
    assert found.kept == pytest.approx(expected.kept, rel=0.01)
    assert found.peak == pytest.approx(expected.peak, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MID)
def test_it_does_so_for_a_model_of_a_middle_size(mid_settings: dict[str, Any], mid_task: EarthMindTask, kind: str) -> None:
    batch = real_batch(mid_task, MID[kind])
    if kind == "pair":  # one place, two sensors
        batch = batch._replace(vision=batch.vision._replace(tile_group=torch.tensor([[0, 0], [0, 1]])))
    expected, found = measure_step(mid_task, batch), estimated(mid_settings, MID[kind])
    print(f"{kind}: estimated {found}, measured {expected}")
    assert found.kept == pytest.approx(expected.kept, rel=0.01)
    assert found.peak == pytest.approx(expected.peak, rel=0.03)


def test_recomputing_keeps_less(estimate: Callable[[str, str], StepMemory]) -> None:
    kept = [estimate("one sample", kind).kept for kind in KINDS]
    assert kept == sorted(kept, reverse=True) and len(set(kept)) == len(KINDS)


def test_what_trains_is_what_the_config_says(settings: dict[str, Any]) -> None:
    task = outline(settings)
    real = EarthMindTask(**{**settings, "tokenizer": {"type": "StandInTokenizer", "size": VOCABULARY}})
    assert {name: (value.shape, value.requires_grad) for name, value in task.named_parameters()} == {
        name: (value.shape, value.requires_grad) for name, value in real.named_parameters()
    }
    assert all(value.is_meta for value in task.parameters())


def test_a_row_without_room_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"3 samples with 30 text tokens each .* do not fit a row of 80"):
        example_batch(outline(settings), StepShape(tokens=80, samples=3, text=30, supervised=8))


def test_an_unknown_vocabulary_is_named(settings: dict[str, Any], make_fields: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match=r"set task.model.text_config.vocab_size"):
        outline({**settings, "model": make_fields()})


def test_the_command_tells_it(repo_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("estimate_memory", repo_root / "tools" / "estimate_memory.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    config = str(repo_root / "configs" / "earthmind" / "earthmind_tiny_synthetic.py")
    shallow = ("--cfg-options", *(f"task.model.{part}.num_hidden_layers=1" for part in ("vision_config", "text_config")))
    given = ("--gpus", "2", "--tokens", "300", "--masks", "0", "--precision", "fp32", *shallow)
    monkeypatch.setattr(sys, "argv", ["estimate_memory.py", config, *given])
    assert tool.COMMAND() == 0
    shown = capsys.readouterr().out
    assert "deepspeed_zero2 *" in shown and "language_model" in shown
    assert "as this config stands (deepspeed_zero2, gradient_checkpointing none), 300 tokens:" in shown
    monkeypatch.setattr(sys, "argv", ["estimate_memory.py", config, "--tokens", "30"])
    assert tool.COMMAND() == 1
    assert "do not fit a row of 30" in capsys.readouterr().err
