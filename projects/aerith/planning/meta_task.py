"""A task without files and without memory, and a batch for it: what estimates are made from."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from mmengine.config import Config
from transformers.models.dinov3_vit import modeling_dinov3_vit

from aerith.building.models import build_processor
from aerith.datasets.preparation import IMAGES
from aerith.model.batching import Batch, Images
from aerith.pretrained import NEW, PARTS
from aerith.task import AerithTask
from eocore.config import require
from eocore.errors import ConfigError
from eocore.option_types import check_option
from eocore.registry import TASKS, TOKENIZERS
from eocore.replaced import replaced
from eocore.train.options import DataOptions
from eocore.train.planning.estimate import StepShape
from eocore.train.planning.prompts import example_prompts
from eocore.train.training_data import TrainingData


def outline(task: Mapping[str, Any]) -> AerithTask:
    """The task of a config on the meta device: what trains is what would, nothing is read.

    Raises:
        ConfigError: as `AerithTask`; the stage has no language model; or the vocabulary's size is nowhere stated.
    """
    if TASKS.get(str(task.get("type", AerithTask.__name__))) is not AerithTask:
        raise ConfigError(f"task.type='{task['type']}' trains a part without a language model; estimates are of the stages after it.")
    for name in ("model", "tokenizer"):
        check_option(f"task.{name}", task.get(name, {}), annotation=Mapping[str, Any])
    fields = {key: value for key, value in task.items() if key not in ("type", "data", "compile")}
    fields["model"] = {**fields.get("model", {}), "parts": dict.fromkeys(PARTS, NEW)}
    fields["tokenizer"] = {"type": "StandInChatTokenizer", "size": _vocabulary(fields)}
    with torch.device("meta"):
        return AerithTask(**fields)


def _vocabulary(fields: Mapping[str, Any]) -> int:
    text = fields["model"].get("text_config", {})
    check_option("task.model.text_config", text, annotation=Mapping[str, Any])
    size = text.get("vocab_size", fields.get("tokenizer", {}).get("vocab_size"))
    check_option("the size of the vocabulary", size, annotation=int | None)
    if size is None:
        raise ConfigError(
            "the size of the vocabulary is not stated: set task.model.text_config.vocab_size (LLaMA-2: 32000), which estimates need."
        )
    return int(size)


def step_shape(settings: Mapping[str, Any]) -> StepShape:
    """The largest step of a section `task`: a batch of its longest samples."""
    return StepShape(
        tokens=settings.get("max_length", DataOptions.max_length), rows=settings.get("batch_size", DataOptions.batch_size), masks=0
    )


def example_batch(task: AerithTask, shape: StepShape) -> Batch:
    """A batch of that shape, all zeros: an image for each sample.

    Raises:
        ConfigError: the row has no room for text beside the image, or masks are asked for.
    """
    count = shape.rows * shape.samples
    prompts = example_prompts(shape, per_image=task.model.config.tokens_per_image)
    options = task.processor.options
    sides = (options.clip_size, options.dinov3_size)
    clip, dinov3 = (torch.zeros(count, 3, side, side, dtype=torch.uint8) for side in sides)
    return Batch(prompts, Images(clip, dinov3), prompts.sample_ids)


def fake_step(shape: StepShape) -> AbstractContextManager[None]:
    """The context of a step with fake tensors: transformers keeps DINOv3's coordinates of patches, which would be fake ones of another."""
    anew = modeling_dinov3_vit.get_patches_center_coordinates.__wrapped__
    return replaced(modeling_dinov3_vit, "get_patches_center_coordinates", value=anew)


def data_task(config: Config) -> AerithTask:
    """The task of a config on the meta device, with the training's own tokenizer, processor and data.

    Raises:
        EOError: the task is wrong, or its tokenizer is not there.
    """
    settings = require(config, "task")
    task = outline(settings)
    words = TOKENIZERS.build(settings["tokenizer"])
    task.processor = build_processor(settings["processor"], words, config=task.model.config)
    task.data = TrainingData(replace(task.options, data=settings["data"]), IMAGES)
    return task
