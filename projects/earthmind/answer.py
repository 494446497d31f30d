"""Answers of a model to records, batch by batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from earthmind.model.answering import Answer
from earthmind.model.batching import Sample
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from earthmind.model.processing_earthmind import EarthMindProcessor
from eocore.data.records import Record
from eocore.errors import AlignmentError
from eocore.predict.generation import check_with_model, generation_settings
from eocore.sensors.scene import Scene, by_role


@dataclass(frozen=True)
class PreparedRecord:
    """A record as the model takes it.

    Attributes:
        sample_id: of the record.
        encoded: from the processor.
        size: (height, width) [px] of its first image.
    """

    sample_id: str
    encoded: Sample
    size: tuple[int, int]


class RecordAnswerer:
    """Answers the first question of each record.

    Args:
        model: in eval mode, on its device.
        processor: the model's.
        max_new_tokens: longest answer.
        generation: options of `generation_settings`, such as {"cache_implementation": "static"} or {"compile": True}.

    Raises:
        ConfigError: a generation option, here or in the model's generation config, is unknown or does not fit the others.
    """

    def __init__(
        self,
        model: EarthMindForConditionalGeneration,
        processor: EarthMindProcessor,
        *,
        max_new_tokens: int = 256,
        generation: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.processor = processor
        self.max_new_tokens = max_new_tokens
        self.generation = generation_settings(generation or {})
        check_with_model(self.generation, model, max_new_tokens=max_new_tokens)

    def __call__(self, samples: Sequence[tuple[Record, Sequence[Scene]]]) -> list[Answer]:
        """One answer a record; masks have the size of the record's first image.

        Raises:
            DataError: a record does not fit its images, or an image lacks a band that the model is shown.
        """
        return self.answer([self.prepare(sample) for sample in samples])

    def prepare(self, sample: tuple[Record, Sequence[Scene]]) -> PreparedRecord:
        """What of a record's answer needs no model; several threads may prepare at once.

        Raises:
            DataError: the record does not fit its images, or an image lacks a band that the model is shown.
        """
        record, scenes = sample
        encoded = self._encode(record, scenes)
        if encoded.draw_on is not None:
            draw_on = partial(_named, record, encoded.draw_on)
            if record.masks:  # they will be asked for
                draw_on()
            encoded = encoded._replace(draw_on=draw_on)
        return PreparedRecord(record.sample_id, encoded, scenes[0].size if scenes else (1, 1))

    def answer(self, prepared: Sequence[PreparedRecord]) -> list[Answer]:
        """One answer a record; masks have the size of the record's first image.

        Raises:
            BandError: an image lacks a band that masks are drawn on.
        """
        return self.model.answer(
            self.processor.collate([record.encoded for record in prepared], left_pad=True),
            self.processor,
            sizes=[record.size for record in prepared],
            max_new_tokens=self.max_new_tokens,
            **self.generation,
        )

    def _encode(self, record: Record, scenes: Sequence[Scene]) -> Sample:
        if not record.turns:
            raise AlignmentError(
                f"{record.source}: the record asks no question, which is what this model answers. Use a data set of questions."
            )
        with named_after(record):
            return self.processor.encode(
                by_role(scenes, source=record.source),
                record.turns[:1],
                regions=[read_mask(region, scenes, record) for region in record.regions],
                for_generation=True,
                sample_id=record.sample_id,
            )


def _named(record: Record, make: Callable[[], Tensor]) -> Tensor:
    with named_after(record):
        return make()
