from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aerith_models import MODEL
from mmengine.config import Config

from aerith.planning.meta_task import data_task, example_batch, outline
from eocore.errors import ConfigError
from eocore.models.freeze import trainable_names
from eocore.train.planning.estimate import StepShape, estimate


def test_what_trains_is_what_would_and_nothing_is_read(make_fields: Callable[..., dict[str, Any]], make_task: Callable[..., Any]) -> None:
    fields = {**make_fields(), "model": {**MODEL, "parts": {"pooler": "not there"}}}
    task = outline({"type": "AerithTask", **fields})
    assert trainable_names(task) == trainable_names(make_task())
    assert all(parameter.is_meta for parameter in task.parameters())


def test_a_batch_has_an_image_for_each_sample(make_fields: Callable[..., dict[str, Any]]) -> None:
    task = outline({"type": "AerithTask", **make_fields()})
    batch = example_batch(task, StepShape(tokens=64, rows=2, samples=2, supervised=8, masks=0))
    assert batch.images.clip.shape == (4, 3, 28, 28) and len(batch.prompts.placeholders) == 20
    assert batch.prompts.sequence_boundaries == [0, 32, 64, 96, 128] and len(batch.prompts.supervised.targets) == 32
    with pytest.raises(ConfigError, match="do not fit a row of 16"):
        example_batch(task, StepShape(tokens=16, samples=2, supervised=8))


def test_estimates_of_several_steps_follow_one_another(make_fields: Callable[..., dict[str, Any]]) -> None:
    task = {"type": "AerithTask", **make_fields()}
    config = Config({"systems": ["aerith"], "task": task, "training": {"max_iters": 1}})
    shapes = [StepShape(tokens=tokens, rows=2, text=20, supervised=4, masks=0) for tokens in (32, 64)]
    found = estimate(config, num_gpus=1, shapes=shapes)
    assert 0 < found.peak(32) < found.peak(64)


def test_what_cannot_be_estimated_is_said(make_fields: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match="trains a part without a language model"):
        outline({"type": "AerithTowerTask"})
    with pytest.raises(ConfigError, match="the size of the vocabulary is not stated"):
        outline({**make_fields(), "type": "AerithTask", "tokenizer": {"type": "ChatTokenizer", "path": "none"}})


@pytest.mark.parametrize("kind", [{"type": "AerithTowerTask", "num_classes": 6}, {"type": "AerithAlignmentTask"}])
def test_data_of_stages_without_a_language_model_are_checked_too(kind: dict[str, Any], world: Path, scene_images: dict[str, Any]) -> None:
    classes = {str(number): name for number, name in enumerate("abcdef", start=1)}
    data = {"type": "ClassMapDataset", "annotations": str(world / "train" / "landcover"), "images": scene_images, "classes": classes}
    model = {**MODEL, "parts": {"clip": "not there", "dinov3": "not there"}} if "num_classes" not in kind else MODEL
    config = Config({"task": {**kind, "model": model, "data": data, "batch_size": 4, "num_workers": 0}})
    batch = next(iter(data_task(config).build_loader(rank=0, world_size=1, seed=0, start_step=0)))
    assert len(batch.sample_ids) == 4
