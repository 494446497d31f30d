"""Record and scenes -> the sample the model takes, and samples -> a batch."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from eocore.data.records import Record
from eocore.errors import AlignmentError, BandError, LengthError
from eocore.sensors.scene import Scene, by_role
from ms_clip.model.processing_ms_clip import MsClipProcessor

CHOICES = ("draw", "first")


class Sample(NamedTuple):
    """One image and one text.

    Attributes:
        pixel_values: (C, S, S) float32, normalised.
        text: that describes it.
        sample_id: of the record.
        faults: broken samples that this one stands for (see `eocore.data.loading.error_policy`).
    """

    pixel_values: Tensor
    text: str
    sample_id: str
    faults: tuple[Any, ...] = ()


class Batch(NamedTuple):
    """N images and N texts of T tokens.

    Attributes:
        pixel_values: (N, C, S, S) float32, normalised.
        input_ids: (N, T) tokens.
        attention_mask: (N, T), 0 at padding.
        keys: (N,) whole numbers, equal where texts are.
        sample_ids: of the records.
        faults: broken samples that others stand for.
    """

    pixel_values: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    keys: Tensor
    sample_ids: list[str]
    faults: tuple[Any, ...] = ()


class SamplePreparer:
    """Prepares training samples with the processor that ships with the model.

    Args:
        processor: made for the model.
        choice: of several captions: "draw" one each time, or the "first".
    """

    def __init__(self, processor: MsClipProcessor, *, choice: str) -> None:
        self.processor, self.choice = processor, choice

    def __call__(self, record: Record, scenes: Sequence[Scene], *, rng: np.random.Generator) -> Sample:
        """The sample.

        Raises:
            AlignmentError: the record has no caption, or several images of one role.
            BandError: a role or a band is missing.
        """
        captions = captions_of(record)
        number = int(rng.integers(len(captions))) if self.choice == "draw" else 0
        return Sample(prepare_pixels(self.processor, record, scenes=scenes), captions[number], record.sample_id)


def captions_of(record: Record) -> tuple[str, ...]:
    """The captions of a record. Raise AlignmentError if it has none."""
    if not record.captions:
        raise AlignmentError(
            f"{record.source}: the record has no caption, which this model learns from ({len(record.turns)} turns, "
            f"{len(record.labels)} labels). Use a data set of captions, or one of classes with prompts."
        )
    return record.captions


def prepare_pixels(processor: MsClipProcessor, record: Record, *, scenes: Sequence[Scene]) -> Tensor:
    """(C, S, S) of a record's images.

    Raises:
        AlignmentError: several images have one role.
        BandError: a role or a band is missing.
    """
    try:
        return processor.pixels(by_role(scenes, source=record.source))
    except ValueError as error:
        raise BandError(f"{record.source}: {error}") from error


@dataclass(frozen=True)
class Collator:
    """Makes batches of samples.

    Attributes:
        processor: of the samples.
    """

    processor: MsClipProcessor

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """The batch.

        Raises:
            LengthError: a text is too long, and is not to be cut.
        """
        texts = [sample.text for sample in samples]
        try:
            tokens = self.processor.tokens(texts)
        except ValueError as error:
            raise LengthError(f"one of {', '.join(sample.sample_id for sample in samples)}: {error}") from error
        return Batch(
            pixel_values=torch.stack([sample.pixel_values for sample in samples]),
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            keys=torch.tensor([text_key(text) for text in texts]),
            sample_ids=[sample.sample_id for sample in samples],
            faults=tuple(fault for sample in samples for fault in sample.faults),
        )


def text_key(text: str) -> int:
    """A whole number of 64 bits, equal for equal texts, on every rank."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True)
