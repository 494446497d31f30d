"""The data of a training before it runs: no weights are read, only tokenizer, annotations and image headers."""

from dataclasses import replace

from mmengine.config import Config

from earthmind.building.models import build_processor
from earthmind.datasets.preparation import IMAGES
from earthmind.planning.cost_model import sample_cost
from earthmind.planning.meta_task import outline
from earthmind.task import EarthMindTask
from eocore.config import require
from eocore.registry import TOKENIZERS
from eocore.train.planning.batches import SampleWork
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


def sample_work(task: EarthMindTask) -> SampleWork:
    """The data of a task, and what its samples cost."""
    return SampleWork(data=task.data, rules=task.pack_rules(), useful=sample_cost(task.model))
