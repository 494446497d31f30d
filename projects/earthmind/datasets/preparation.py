"""Record and scenes -> the sample the model takes."""

from collections.abc import Sequence

import numpy as np

from earthmind.model.batching import Sample
from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.model.processor_options import MODALITIES
from eocore.data.dataset import ImageRules
from eocore.data.io.masks import decode_scene_mask
from eocore.data.records import MaskRef, Record
from eocore.data.sample_errors import named_after
from eocore.errors import AlignmentError
from eocore.sensors.scene import Scene, by_role

SEED_RANGE = 2**31
IMAGES = ImageRules(roles=MODALITIES, tokens=256)
"""Tokens: of one 448 px tile after pixel shuffle, (448 / 14 / 2) squared, whatever the size of the image. Source: InternVL 2.5."""


class SamplePreparer:
    """Prepares training samples with the processor that ships with the model.

    Args:
        processor: made for the model.
        max_length: most tokens of a sample; a longer one is an error, nothing is cut.
    """

    def __init__(self, processor: EarthMindProcessor, *, max_length: int) -> None:
        self.processor, self.max_length = processor, max_length

    def __call__(self, record: Record, scenes: Sequence[Scene], *, rng: np.random.Generator) -> Sample:
        """The encoded sample.

        Raises:
            AlignmentError: text, images, regions and masks do not fit together, or several images have one role.
            BandError: the presentation asks for a band that the image does not have.
            LengthError: more than `max_length` tokens.
        """
        if not record.turns:
            raise AlignmentError(
                f"{record.source}: the record has no question and answer ({len(record.captions)} captions, {len(record.labels)} labels), "
                "which is what this model learns from. Use a data set of conversations, or a transform that makes turns of them."
            )
        with named_after(record):
            sample = self.processor.encode(
                by_role(scenes, source=record.source),
                record.turns,
                regions=[read_mask(region, scenes, record=record) for region in record.regions],
                masks=[read_mask(mask, scenes, record=record) for mask in record.masks],
                independent=record.independent,
                max_length=self.max_length,
                sample_id=record.sample_id,
            )
        return sample._replace(seed=int(rng.integers(SEED_RANGE)))


def read_mask(mask: MaskRef, scenes: Sequence[Scene], *, record: Record) -> np.ndarray:
    """(H, W) bool mask at the size of the record's first image."""
    return decode_scene_mask(mask, scenes[0], source=record.source)
