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
from eocore.train.planning.estimate import StepShape
from eocore.train.planning.prompts import example_prompts, vocabulary_size
from eocore.train.task import Task
from eocore.train.training_data import TrainingData


def outline(task: Mapping[str, Any]) -> AerithTask:
    """The task of a config on the meta device: what trains is what would, nothing is read.

    Raises:
        ConfigError: as `AerithTask`; the stage has no language model; or the vocabulary's size is nowhere stated.
    """
    if not _has_language_model(task):
        raise ConfigError(f"task.type='{task['type']}' trains a part without a language model; estimates are of the stages after it.")
    for name in ("model", "tokenizer"):
        check_option(f"task.{name}", task.get(name, {}), annotation=Mapping[str, Any])
    fields = {key: value for key, value in task.items() if key not in ("type", "data", "compile")}
    fields["model"] = {**fields.get("model", {}), "parts": dict.fromkeys(PARTS, NEW)}
    fields["tokenizer"] = {"type": "StandInChatTokenizer", "size": vocabulary_size(fields, example="LLaMA-2: 32000")}
    with torch.device("meta"):
        return AerithTask(**fields)


def _has_language_model(task: Mapping[str, Any]) -> bool:
    return TASKS.get(str(task.get("type", AerithTask.__name__))) is AerithTask


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


def data_task(config: Config) -> Task:
    """The task of a config on the meta device, with the training's own tokenizer, processor and data; no weights are read.

    Raises:
        EOError: the task is wrong, or its tokenizer is not there.
    """
    settings = require(config, "task")
    if not _has_language_model(settings):
        return _part_task(settings)
    task = outline(settings)
    words = TOKENIZERS.build(settings["tokenizer"])
    task.processor = build_processor(settings["processor"], words, config=task.model.config)
    task.data = TrainingData(replace(task.options, data=settings["data"]), IMAGES)
    return task


def _part_task(settings: Mapping[str, Any]) -> Task:
    """A task that trains a tower or the head: data are given to it when it is there, as it asks for weights only where it is to train."""
    model = {name: value for name, value in settings["model"].items() if name != "parts"}
    task: Any = TASKS.build({**settings, "model": model, "data": None})
    task.data = TrainingData(replace(task.options, data=settings["data"]), IMAGES)
    built: Task = task
    return built
