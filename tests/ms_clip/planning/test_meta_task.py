"""Estimates of memory: what a step of pairs would allocate is what it allocates, with other ranks' vectors and in parts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from eocore.commands.estimate_memory import COMMAND
from eocore.errors import ConfigError
from eocore.train.planning.estimate import StepShape
from eocore.train.planning.memory import StepMemory, as_fake, measure_step
from ms_clip.planning.meta_task import example_batch, global_batch, outline, step_shape
from ms_clip.task import MsClipTask

PAIRS = StepShape(tokens=20, rows=12, text=0, supervised=0, masks=0)
CHOICES: dict[str, dict[str, Any]] = {
    "plain": {},
    "cached": {"gradient_cache": 3},
    "recomputed": {"gradient_checkpointing": "full"},
    "patches": {"losses": {"patch_alignment": 0.2, "ignore_same_text": True}},
}


@pytest.fixture
def settings(make_fields: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return {**make_fields(), "tokenizer": {"type": "ClipTokenizer", "path": "nowhere", "vocab_size": 300}}


def estimated(settings: dict[str, Any], *, ranks: int = 1) -> StepMemory:
    task, mode = outline(settings), FakeTensorMode()
    as_fake(task, mode, dtype=torch.float32).train()
    shape = StepShape(**{**PAIRS.__dict__, "ranks": ranks})
    with mode, global_batch(shape):
        return measure_step(task, example_batch(task, shape))


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("ranks", [1, 8])
def test_a_step_without_memory_counts_what_one_with_memory_takes(settings: dict[str, Any], choice: str, ranks: int) -> None:
    fields = settings | CHOICES[choice]
    task = MsClipTask(**{**fields, "tokenizer": {"type": "StandInClipTokenizer", "size": 300}}).train()
    with global_batch(StepShape(**{**PAIRS.__dict__, "ranks": ranks})):
        expected = measure_step(task, example_batch(task, PAIRS))
    found = estimated(fields, ranks=ranks)
    assert found.kept == pytest.approx(expected.kept, rel=0.02)
    assert found.peak == pytest.approx(expected.peak, rel=0.03)


def test_more_ranks_take_more_and_a_gradient_cache_takes_less(settings: dict[str, Any]) -> None:
    alone, eight, cached = estimated(settings), estimated(settings, ranks=8), estimated(settings | CHOICES["cached"], ranks=8)
    pairs, width = 8 * PAIRS.rows, 16
    assert eight.kept - alone.kept >= 4 * 2 * (pairs - PAIRS.rows) * (width + PAIRS.rows), "vectors and cosines of both sides"
    assert cached.kept < eight.kept / 2 and cached.peak < eight.peak


def test_the_largest_step_is_a_batch_of_the_longest_texts(settings: dict[str, Any]) -> None:
    assert step_shape(settings) == StepShape(tokens=32, rows=4, text=0, supervised=0, masks=0)
    assert step_shape({"processor": {}}).tokens == 77


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"masks": 2}, "no masks and no supervised tokens; asked for: 1 samples a row, 2 masks, 0 supervised"),
        ({"samples": 3}, "3 samples a row"),
        ({"tokens": 33}, "texts of 33 tokens are asked for, the model reads at most 32"),
    ],
)
def test_what_pairs_do_not_have_is_refused(settings: dict[str, Any], shape: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        example_batch(outline(settings), StepShape(**{**PAIRS.__dict__, **shape}))


def test_an_unknown_vocabulary_is_named(settings: dict[str, Any]) -> None:
    del settings["tokenizer"]["vocab_size"]
    with pytest.raises(ConfigError, match=r"set task\.model\.text_config\.vocab_size \(CLIP: 49408\)"):
        outline(settings)


def test_the_command_tells_it(repo_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(repo_root / "configs" / "ms_clip" / "ms_clip_tiny_synthetic.py")
    shallow = [f"task.model.{part}.num_hidden_layers=1" for part in ("vision_config", "text_config")]
    assert COMMAND([config, "--gpus", "4", "--tokens", "30", "--rows", "8", "--cfg-options", *shallow]) == 0
    shown = capsys.readouterr().out
    assert "4 GPU(s), bf16, 8 row(s) of 1 sample(s)\n" in shown and "vision_model" in shown
    assert "as this config stands (deepspeed_zero2, gradient_checkpointing none), 30 tokens:" in shown
    assert COMMAND([config, "--masks", "1"]) == 1
    assert "no masks and no supervised tokens" in capsys.readouterr().err
