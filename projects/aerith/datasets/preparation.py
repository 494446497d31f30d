"""Record and scenes -> the sample the model takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aerith.model.batching import Batch, Sample
from aerith.model.processing_aerith import AerithProcessor
from aerith.model.processor_options import ROLES
from eocore.data.dataset import ImageRules
from eocore.data.records import Record
from eocore.data.sample_errors import named_after
from eocore.errors import AlignmentError
from eocore.sensors.scene import Scene, by_role

TOKENS = 144
"""Of one image, whatever its size. Source: LHRS-Bot, the queries of its pooler."""
IMAGES = ImageRules(roles=ROLES, tokens=TOKENS)


class SamplePreparer:
    """Prepares training samples with the processor that ships with the model.

    Args:
        processor: made for the model.
        max_length: most tokens of a sample; a longer one is an error, nothing is cut.
    """

    def __init__(self, processor: AerithProcessor, *, max_length: int) -> None:
        self.processor, self.max_length = processor, max_length

    def __call__(self, record: Record, scenes: Sequence[Scene], *, rng: np.random.Generator) -> Sample:
        """The encoded sample.

        Raises:
            AlignmentError: text and image do not fit together, or there is nothing to learn.
            BandError: the image is no picture.
            LengthError: more than `max_length` tokens.
        """
        if not record.turns:
            raise AlignmentError(
                f"{record.source}: the record has no question and answer ({len(record.captions)} captions, {len(record.labels)} labels), "
                "which is what this model learns from. Use a data set of conversations, or a transform that makes turns of them."
            )
        with named_after(record):
            return self.processor.encode(
                by_role(scenes, source=record.source),
                record.turns,
                independent=record.independent,
                max_length=self.max_length,
                sample_id=record.sample_id,
            )


@dataclass(frozen=True, kw_only=True)
class Collator:
    """Makes batches of samples.

    Attributes:
        processor: of the samples.
        row_length: tokens of a row of several samples; None = one sample a row.
    """

    processor: AerithProcessor
    row_length: int | None = None

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """The batch. Raises ValueError where a sample alone is longer than a row."""
        return self.processor.collate(samples, with_dummy=True, row_length=self.row_length)
