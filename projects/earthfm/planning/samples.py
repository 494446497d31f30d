"""The sizes of samples before a training runs: no weights and no pixels are read, only tokenizer, annotations and, at times, headers."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from earthfm.datasets.preparation import turns_to_learn
from earthfm.model.processing_earthfm import EarthFmProcessor
from earthfm.planning.cost_model import sample_cost
from earthfm.task import EarthFmTask
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


class SampleMeasurer:
    """Sizes of what `SamplePreparer` makes of a record; of several captions that are drawn from, the longest.

    Args:
        processor: made for the model.
        band_sets: sensor -> tokens that the encoder makes of a patch.
        max_length: most tokens of a sample; a longer one is an error.
        choice: of several captions.
    """

    def __init__(self, processor: EarthFmProcessor, *, band_sets: dict[str, int], max_length: int, choice: str) -> None:
        self.processor, self.band_sets, self.max_length, self.choice = processor, band_sets, max_length, choice

    @property
    def reads_headers(self) -> bool:
        """Whether sizes of images decide; they do not where all are brought to one."""
        return self.processor.options.image_size is None

    @property
    def settings(self) -> dict[str, Any]:
        """All of the processor and its tokenizer that sizes depend on, fit for JSON."""
        words = tokenizer_digest(self.processor.tokenizer)
        return {**asdict(self.processor.options), "tokenizer": words, "captions": self.choice, "band_sets": self.band_sets}

    @property
    def code(self) -> list[Path]:
        """Folders of the sources that decide how long a sample becomes."""
        return [Path(next(iter(portable.__path__))), SYSTEM / "model", SYSTEM / "building", SYSTEM / "datasets", SYSTEM / "planning"]

    def __call__(self, record: Record, headers: Sequence[SceneHeader]) -> dict[str, int]:
        """The `eocore.data.loading.sample_stats.FIELDS`.

        Raises:
            AlignmentError: text and images do not fit together, or there is nothing to learn.
            LengthError: more than `max_length` tokens.
        """
        numbers = range(len(record.captions)) if self.choice == "draw" and not record.turns else (0,)
        with named_after(record):
            prompts = [
                self.processor.measure(
                    turns_to_learn(record, self.processor, caption=number),
                    independent=record.independent,
                    max_length=self.max_length,
                    sample_id=record.sample_id,
                )
                for number in numbers or (0,)
            ]
        longest = max(prompts, key=lambda prompt: len(prompt.input_ids))
        scored = int((longest.labels[1:] != IGNORE).sum())
        tiles = self._encoder_tokens(record, headers)
        return {**dict.fromkeys(FIELDS, 0), "tokens": len(longest.input_ids), "tiles": tiles, "scored": scored}

    def _encoder_tokens(self, record: Record, headers: Sequence[SceneHeader]) -> int:
        """Patches of all images that the model reads, each in all sets of bands."""
        options, total = self.processor.options, 0
        for number, ref in enumerate(record.images):
            if ref.role in options.inputs:
                height, width = headers[number].size if options.image_size is None else (options.image_size, options.image_size)
                patches = (height // options.patch_size) * (width // options.patch_size)
                total += patches * self.band_sets[options.inputs[ref.role]]
        return total


def sample_work(task: Any) -> SampleWork:
    """The data of a task, and what its samples cost.

    Raises:
        ConfigError: it trains an encoder alone.
    """
    if not isinstance(task, EarthFmTask):
        raise ConfigError(
            f"{type(task).__name__} trains an encoder without a language model, whose samples are images of one size: there is no balance "
            "to plan. Plan the training of the bridge."
        )
    measurer = SampleMeasurer(
        task.processor,
        band_sets=task.model.encoder.sizes.num_band_sets,
        max_length=task.max_length,
        choice=task.options.captions,
    )
    cost = sample_cost(task.model, recomputed=task.checkpointing == "full")
    return SampleWork(data=task.data, rules=PackRules(measurer=measurer, cost=cost), useful=sample_cost(task.model))
