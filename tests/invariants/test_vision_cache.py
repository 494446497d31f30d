"""The cache of a frozen vision tower: the same losses and gradients with it, the tower runs once a tile, changes find nothing old."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tolerances import GRADIENTS_ACROSS_LAYOUTS, LOSSES_ACROSS_LAYOUTS

from earthmind.model.batching import Batch
from earthmind.planning.meta_task import outline
from earthmind.task import EarthMindTask
from eocore.errors import ConfigError
from eocore.models.feature_cache import content_keys

TRAINABLE = ["projector", "fusion", "seg_head.projector", "seg_head.sam.mask_decoder", "language_model"]


@pytest.fixture
def build(make_task: Callable[..., EarthMindTask], tmp_path: Path) -> Callable[..., EarthMindTask]:
    def made(*, cached: bool = True, **choices: Any) -> EarthMindTask:
        cache = {"folder": str(tmp_path / "cache"), "max_gb": 1.0} if cached else None
        return make_task(**{"trainable": TRAINABLE, "vision_cache": cache, "losses": {"num_points": 64}, **choices}).train()

    return made


@pytest.fixture
def batch(build: Callable[..., EarthMindTask], make_scenes: Callable[..., Any], square_mask: np.ndarray) -> Batch:
    """A pair with a mask, one image, and the image once more."""
    task = build()
    processor = task.processor
    question = ("user", "<image>\nWhat?")
    samples = [
        processor.encode(make_scenes("rgb", "sar"), [question, ("assistant", "[SEG]")], masks=[square_mask]),
        *(processor.encode(make_scenes("rgb", seed=1), [question, ("assistant", text)], masks=[]) for text in ("water", "here")),
    ]
    return task.collator()([sample._replace(seed=number) for number, sample in enumerate(samples)])


def step(task: EarthMindTask, batch: Batch) -> tuple[float, dict[str, torch.Tensor], list[int]]:
    """(loss, gradients, tiles in each call of the tower)."""
    calls: list[int] = []
    hook = task.model.vision_tower.register_forward_hook(
        lambda _module, _inputs, kwargs, _output: calls.append(len(kwargs["pixel_values"])), with_kwargs=True
    )
    task.zero_grad()
    loss = task.parse_losses(task(batch))[0]
    loss.backward()
    hook.remove()
    return loss.item(), {name: part.grad.clone() for name, part in task.named_parameters() if part.grad is not None}, calls


def test_losses_and_gradients_are_those_without_a_cache(build: Callable[..., EarthMindTask], batch: Batch) -> None:
    loss, gradients, calls = step(build(cached=False), batch)
    assert calls == [4]
    task = build()
    for expected_calls in ([3], []):
        found, found_gradients, calls = step(task, batch)
        assert calls == expected_calls
        assert found == pytest.approx(loss, **LOSSES_ACROSS_LAYOUTS.approx)
        assert set(found_gradients) == set(gradients)
        for name, gradient in gradients.items():
            torch.testing.assert_close(
                found_gradients[name], gradient, **GRADIENTS_ACROSS_LAYOUTS.of_size(gradient, floor=0.1), msg=f"{name} differs"
            )
    assert task(batch)["vision_cached"] == pytest.approx(6 / 9)


def test_other_weights_and_another_preparation_find_nothing(build: Callable[..., EarthMindTask], batch: Batch) -> None:
    step(build(), batch)
    changed = build()
    with torch.no_grad():
        next(changed.model.vision_tower.encoder.parameters()).mul_(1.5)
    assert step(changed, batch)[2] == [3]
    tiles = batch.vision.tiles // 2
    darker = batch._replace(vision=batch.vision._replace(tiles=tiles, keys=content_keys(tiles)))
    assert step(build(), darker)[2] == [3]
    normalised = build()
    normalised.model.config.pixel_mean = [0.5, 0.5, 0.5]
    assert step(normalised, batch)[2] == [3]
    assert step(build(), batch)[2] == []


def test_a_tower_that_changes_is_refused(build: Callable[..., EarthMindTask], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"vision_cache is set, but \d+ parameters of the vision tower train .*leave vision_cache out"):
        build(trainable=["*"])
    dropping = build(cached=False)
    dropping.model.config.vision_config.attention_dropout = 0.1
    with pytest.raises(ConfigError, match=r"vision tower drops at random \(\{'attention_dropout': 0.1\}\)"):
        dropping._build_vision_cache({"folder": str(tmp_path)})
    with pytest.raises(ConfigError, match=r"config section 'vision_cache' has no option 'foldr'\. Did you mean 'folder'"):
        build(vision_cache={"foldr": "x"})


def test_ranks_that_gather_weights_together_are_refused(build: Callable[..., EarthMindTask], batch: Batch) -> None:
    task = build()
    for parameter in task.model.vision_tower.parameters():
        parameter.ds_id = 0  # what DeepSpeed marks the parameters of ZeRO-3 with
    with pytest.raises(ConfigError, match="under ZeRO-3, where a rank that finds its tiles would leave the others waiting"):
        task(batch)


def test_a_batch_without_keys_is_computed(build: Callable[..., EarthMindTask], batch: Batch) -> None:
    bare = batch._replace(vision=batch.vision._replace(keys=None))
    assert step(build(), bare)[2] == [4]


def test_an_estimate_opens_no_cache(make_fields: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    fields = make_fields(tie=False)
    fields["text_config"]["vocab_size"] = 300
    settings = {"model": fields, "tokenizer": {"type": "PretrainedTokenizer", "path": "nowhere"}, "processor": {}}
    assert outline({**settings, "trainable": TRAINABLE, "vision_cache": {"folder": str(tmp_path / "no")}}).vision_cache is None
