"""Answers of a model to records, batch by batch."""

from collections.abc import Mapping, Sequence
from typing import Any

from earthmind.model.modeling_earthmind import Answer, EarthMindForConditionalGeneration
from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.prepare import named_after, read_mask
from eocore.data.records import Record
from eocore.sensors.scene import Scene


class RecordAnswerer:
    """Answers the first question of each record.

    Args:
        model: in eval mode, on its device.
        processor: the model's.
        max_new_tokens: longest answer.
    """

    def __init__(self, model: EarthMindForConditionalGeneration, processor: EarthMindProcessor, *, max_new_tokens: int = 256) -> None:
        self.model = model
        self.processor = processor
        self.max_new_tokens = max_new_tokens

    def __call__(self, samples: Sequence[tuple[Record, dict[str, Scene]]]) -> list[Answer]:
        """One answer a record; masks have the size of the record's first image.

        Raises:
            DataError: a record does not fit its images, or an image lacks a band that the model is shown.
        """
        encoded = [self._encode(record, scenes) for record, scenes in samples]
        sizes = [next(iter(scenes.values())).size if scenes else (1, 1) for _, scenes in samples]
        return self.model.answer(
            self.processor.collate(encoded, left_pad=True), self.processor, sizes=sizes, max_new_tokens=self.max_new_tokens
        )

    def _encode(self, record: Record, scenes: Mapping[str, Scene]) -> dict[str, Any]:
        with named_after(record):
            return self.processor.encode(
                scenes,
                [("user", record.turns[0].text)],
                regions=[read_mask(region, scenes, record) for region in record.regions],
                for_generation=True,
                sample_id=record.sample_id,
            )
