"""The data of a training before it runs: no weights and no images are read, only tokenizer and captions."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmengine.config import Config

from eocore.config import require
from eocore.data.io.readers import SceneHeader
from eocore.data.loading.sample_stats import FIELDS
from eocore.data.records import Record
from eocore.errors import LengthError
from eocore.models.recompute import checkpointing_kind
from eocore.models.vocabulary import tokenizer_digest
from eocore.registry import TOKENIZERS
from eocore.train.planning.batches import SampleWork
from eocore.train.training_data import PackRules
from ms_clip.building.models import build_processor, processor_options
from ms_clip.datasets.preparation import captions_of
from ms_clip.model.processing_ms_clip import MsClipProcessor
from ms_clip.planning.cost_model import sample_cost
from ms_clip.planning.meta_task import outline
from ms_clip.task import MsClipTask

SYSTEM = Path(__file__).parent.parent
"""Folder of this system's sources."""


class PairMeasurer:
    """Sizes of a pair: one tile, and the tokens of its caption; of several that are drawn from, the longest.

    Args:
        processor: made for the model.
        choice: of several captions: see `MsClipOptions.captions`.
    """

    reads_headers = False

    def __init__(self, processor: MsClipProcessor, *, choice: str) -> None:
        self.processor, self.choice = processor, choice

    @property
    def max_length(self) -> int:
        """Most tokens of a text."""
        return self.processor.options.context_length

    @property
    def settings(self) -> dict[str, Any]:
        """All that sizes depend on beside the data, fit for JSON."""
        return {**asdict(self.processor.options), "tokenizer": tokenizer_digest(self.processor.tokenizer), "captions": self.choice}

    @property
    def code(self) -> list[Path]:
        """Folders of the sources that decide how long a text becomes."""
        return [SYSTEM / "model", SYSTEM / "building", SYSTEM / "datasets", SYSTEM / "planning"]

    def __call__(self, record: Record, headers: Sequence[SceneHeader]) -> dict[str, int]:
        """The `eocore.data.loading.sample_stats.FIELDS`.

        Raises:
            AlignmentError: the record has no caption.
            LengthError: a text is too long, and is not to be cut.
        """
        captions = captions_of(record)
        try:
            tokens = self.processor.tokens(captions if self.choice == "draw" else captions[:1])
        except ValueError as error:
            raise LengthError(f"{record.source}: {record.sample_id}: {error}") from error
        return {**dict.fromkeys(FIELDS, 0), "tokens": tokens["input_ids"].shape[1], "tiles": 1}


def data_task(config: Config) -> MsClipTask:
    """The task of a config on the meta device, with the training's own tokenizer, processor and data.

    Args:
        config: as `load_config` gives it, its systems imported.

    Raises:
        EOError: the task is wrong, or its tokenizer is not there.
    """
    settings = require(config, "task")
    task = outline(settings)
    task.processor = build_processor(processor_options(settings["processor"]), TOKENIZERS.build(settings["tokenizer"]))
    return task


def sample_work(task: MsClipTask) -> SampleWork:
    """The data of a task, and what its pairs cost."""
    kind = checkpointing_kind(task.options.gradient_checkpointing)
    recomputed = task.options.gradient_cache is not None or kind in ("attention", "full")
    rules = PackRules(
        measurer=PairMeasurer(task.processor, choice=task.options.captions), cost=sample_cost(task.model, recomputed=recomputed)
    )
    return SampleWork(data=task.data, rules=rules, useful=sample_cost(task.model))
