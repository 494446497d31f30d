"""The data of a training before it runs, and its packs: no weights are read, only tokenizer, annotations and image headers."""

from dataclasses import replace

from mmengine.config import Config

from earthmind.building.models import build_processor
from earthmind.datasets.preparation import IMAGES
from earthmind.planning.cost_model import sample_cost
from earthmind.planning.meta_task import outline
from earthmind.task import EarthMindTask
from eocore.config import require
from eocore.data.loading.packing import Cost, PackSampler
from eocore.data.loading.shard import Shard
from eocore.errors import ConfigError
from eocore.registry import TOKENIZERS
from eocore.train.training_data import TrainingData


def data_task(config: Config) -> EarthMindTask:
    """The task of a config on the meta device, with the training's own tokenizer, processor and data.

    Args:
        config: as `load_config` gives it, its systems imported.

    Raises:
        EOError: the task is wrong, or its tokenizer is not there.
    """
    settings = require(config, "task")
    task = outline(settings)
    words = TOKENIZERS.build(settings["tokenizer"])
    # the stand-in may know more tokens than the tokenizer learned, and labels cost as much as there are tokens
    task.model.config.text_config.vocab_size = max(len(words), settings["model"].get("text_config", {}).get("vocab_size", 0))
    task.processor = build_processor(settings["processor"], words, config=task.model.config)
    task.data = TrainingData(replace(task.options, data=settings["data"]), IMAGES)
    return task


def plan_packs(config: Config, *, num_gpus: int, num_workers: int) -> tuple[PackSampler, Cost]:
    """The sampler a training of `config` on so many GPUs has, and the useful operations of samples.

    Sizes that are found here are kept where the training looks for them.

    Args:
        config: as `load_config` returns it, its systems imported.
        num_gpus: ranks.
        num_workers: processes that measure samples.

    Raises:
        EOError: the config does not pack, its tokenizer or data are not there, or a sample is broken.
    """
    settings = require(config, "task")
    if settings.get("packing") is None:
        raise ConfigError(
            "the config has no task.packing, so there are no packs to plan. Add +task.packing.max_tokens=8192 (--cfg-options)."
        )
    task = data_task(config)
    task.data = TrainingData(replace(task.data.options, num_workers=num_workers), IMAGES)
    shard = Shard(rank=0, world_size=num_gpus, seed=require(config, "seed"))
    sampler = task.data.build_packs(task.data.build_dataset(), shard, rules=task.pack_rules())
    return sampler, sample_cost(task.model)
