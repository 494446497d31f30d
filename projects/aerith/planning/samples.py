"""The sizes of samples before a training runs: no weights and no images are read, only tokenizer and annotations."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aerith.model.processing_aerith import AerithProcessor
from aerith.planning.cost_model import sample_cost
from aerith.task import AerithTask
from eocore import portable
from eocore.data.io.readers import SceneHeader
from eocore.data.loading.sample_stats import FIELDS
from eocore.data.records import Record
from eocore.data.sample_errors import named_after
from eocore.errors import ConfigError
from eocore.models.vocabulary import tokenizer_digest
from eocore.portable.row_packing import IGNORE
from eocore.train.planning.batches import SampleWork
from eocore.train.training_data import PackRules

SYSTEM = Path(__file__).parent.parent
"""Folder of this system's sources."""


class TextMeasurer:
    """Sizes of what `SamplePreparer` makes of a record: a picture has as many tokens whatever its size, so no image is opened.

    Args:
        processor: made for the model.
        max_length: most tokens of a sample; a longer one is an error.
    """

    reads_headers = False

    def __init__(self, processor: AerithProcessor, *, max_length: int) -> None:
        self.processor, self.max_length = processor, max_length

    @property
    def settings(self) -> dict[str, Any]:
        """All of the processor and its tokenizer that sizes depend on, fit for JSON."""
        return {**asdict(self.processor.options), "tokenizer": tokenizer_digest(self.processor.tokenizer)}

    @property
    def code(self) -> list[Path]:
        """Folders of the sources that decide how long a sample becomes."""
        return [Path(next(iter(portable.__path__))), SYSTEM / "model", SYSTEM / "building", SYSTEM / "datasets", SYSTEM / "planning"]

    def __call__(self, record: Record, headers: Sequence[SceneHeader]) -> dict[str, int]:
        """The `eocore.data.loading.sample_stats.FIELDS`.

        Raises:
            AlignmentError: text and image do not fit together.
            LengthError: more than `max_length` tokens.
        """
        num_images = len(record.images)
        with named_after(record):
            prompt = self.processor.measure(
                num_images, record.turns, independent=record.independent, max_length=self.max_length, sample_id=record.sample_id
            )
        scored = int((prompt.labels[1:] != IGNORE).sum())
        return {**dict.fromkeys(FIELDS, 0), "tokens": len(prompt.input_ids), "tiles": num_images, "scored": scored}


def sample_work(task: Any) -> SampleWork:
    """The data of a task, and what its samples cost.

    Raises:
        ConfigError: the stage trains a tower or the head.
    """
    if not isinstance(task, AerithTask):
        raise ConfigError(
            f"{type(task).__name__} trains a part without a language model, whose samples are pictures of one size: there is no balance to "
            "plan. Plan the stages after it."
        )
    measurer = TextMeasurer(task.processor, max_length=task.max_length)
    cost = sample_cost(task.model, recomputed=task.checkpointing == "full")
    return SampleWork(data=task.data, rules=PackRules(measurer=measurer, cost=cost), useful=sample_cost(task.model))
