"""A task without files and without memory, and a batch for it: what estimates are made from."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from earthfm.building.models import build_processor
from earthfm.checkpoints.downloads import MOONDREAM, RELEASES
from earthfm.datasets.chatearthnet import IMAGE_SIZE, ChatEarthNetDataset
from earthfm.model.batching import Batch
from earthfm.model.olmoearth import OlmoEarthEncoder
from earthfm.model.sensor_inputs import SensorInputs, band_names
from earthfm.task import EarthFmTask
from eocore.checkpoints.key_maps.moondream import PHI_FIELDS
from eocore.config import require
from eocore.data.dataset import ImageRules
from eocore.errors import ConfigError
from eocore.models.folders import CONFIG, read_json
from eocore.option_types import check_option
from eocore.registry import TASKS, TOKENIZERS
from eocore.replaced import replaced
from eocore.train.planning.estimate import StepShape
from eocore.train.planning.prompts import example_prompts
from eocore.train.task import Task
from eocore.train.training_data import TrainingData

RELEASED = {
    f"OlmoEarth-{version}-{size}": {"version": version.replace("_", "."), "size": size.lower()}
    for version, sizes in RELEASES.items()
    for size in sizes
}
"""Folder of a released encoder -> its fields of `EarthFmConfig.encoder`."""
SENSOR = "sentinel2_l2a"


def outline(task: Mapping[str, Any]) -> EarthFmTask:
    """The task of a config on the meta device: what trains is what would; no weights are read.

    Raises:
        ConfigError: as `EarthFmTask`; the task trains an encoder alone; or sizes of a part are nowhere stated.
    """
    if not _trains_bridge(task):
        raise ConfigError(f"task.type='{task['type']}' trains an encoder without a language model; estimates are of the bridge.")
    for name in ("model", "tokenizer", "processor"):
        check_option(f"task.{name}", task.get(name, {}), annotation=Mapping[str, Any])
    fields = {key: value for key, value in task.items() if key not in ("type", "data", "compile")}
    model = _sized(dict(fields.get("model", {})))
    size = model["text_config"].get("vocab_size") or fields.get("tokenizer", {}).get("vocab_size")
    check_option("the size of the vocabulary", size, annotation=int)
    fields |= {"model": model, "tokenizer": {"type": "StandInChatTokenizer", "size": size}}
    if _is_chatearthnet(task.get("data")):
        fields["processor"] = {"image_size": IMAGE_SIZE, **fields.get("processor", {})}
    with torch.device("meta"):
        return EarthFmTask(**fields)


def _trains_bridge(task: Mapping[str, Any]) -> bool:
    return TASKS.get(str(task.get("type", EarthFmTask.__name__))) is EarthFmTask


def _is_chatearthnet(data: Any) -> bool:
    return isinstance(data, Mapping) and data.get("type") == ChatEarthNetDataset.__name__


def _sized(model: dict[str, Any]) -> dict[str, Any]:
    """Section `model` with the sizes of its parts instead of the folders that hold them."""
    pretrained, encoder, language = (model.pop(name, None) for name in ("pretrained", "encoder_weights", "language_weights"))
    if pretrained is not None:
        raise ConfigError("model.pretrained: estimates need encoder_weights and language_weights, or the sizes of both parts.")
    if encoder is not None and "encoder" not in model:
        if Path(encoder).name not in RELEASED:
            raise ConfigError(f"model.encoder_weights='{encoder}': its sizes are not known. Releases: {', '.join(RELEASED)}.")
        model["encoder"] = RELEASED[Path(encoder).name]
    if language is not None and "text_config" not in model:
        model["text_config"] = dict(PHI_FIELDS) if Path(language).name == MOONDREAM.folder else _text_config(Path(language))
    return {"text_config": dict(PHI_FIELDS), **model}


def _text_config(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG).is_file():
        raise ConfigError(f"model.language_weights='{folder}' holds no {CONFIG}, which says its sizes. Fetch the model first.")
    return {name: value for name, value in read_json(folder / CONFIG).items() if name != "architectures"}


def example_batch(task: EarthFmTask, shape: StepShape) -> Batch:
    """A batch of that shape, all zeros: a Sentinel-2 image of one date for each sample.

    Raises:
        ConfigError: the row has no room for text beside the image, or nothing says the size of images.
    """
    config, side = task.model.config, task.processor.options.image_size
    if side is None:
        raise ConfigError("images are taken in the size they have, which is nowhere stated: set task.processor.image_size [px].")
    count, patches = shape.rows * shape.samples, side // config.patch_size
    images = SensorInputs(
        timestamps=torch.zeros(count, 1, 3, dtype=torch.long),
        sentinel2_l2a=torch.zeros(count, side, side, 1, len(band_names(SENSOR))),
        sentinel2_l2a_missing=torch.zeros(count, patches, patches, 1, dtype=torch.bool),
    )
    return Batch(example_prompts(shape, per_image=config.num_queries), images)


def fake_step(shape: StepShape) -> AbstractContextManager[None]:
    """The context of a step with fake tensors, which have no values to look for gaps in: the images of `example_batch` have none."""
    return replaced(OlmoEarthEncoder, "has_gaps", value=staticmethod(lambda missing: False))


def data_task(config: Config) -> Task:
    """The task of a config on the meta device, with the training's own tokenizer, processor and data; that of an encoder alone as it is.

    Raises:
        EOError: the task is wrong, or its tokenizer is not there.
    """
    settings = require(config, "task")
    if not _trains_bridge(settings):
        built: Task = TASKS.build(settings)
        return built
    task = outline(settings)
    words = TOKENIZERS.build(settings["tokenizer"])
    task.processor = build_processor(settings.get("processor", {}), words, config=task.model.config)
    rules = ImageRules(roles=task.processor.options.roles, tokens=task.model.config.num_queries)
    task.data = TrainingData(replace(task.options, data=settings["data"]), rules)
    return task
