"""Record and scenes -> the sample the model takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earthfm.model.batching import Batch, Sample
from earthfm.model.processing_earthfm import EarthFmProcessor
from eocore.data.records import Record
from eocore.data.sample_errors import named_after
from eocore.errors import AlignmentError
from eocore.portable.messages import Text, Turn, about_images
from eocore.sensors.scene import Scene

CHOICES = ("draw", "first")


class SamplePreparer:
    """Prepares training samples with the processor that ships with the model.

    Args:
        processor: made for the model.
        max_length: most tokens of a sample; a longer one is an error, nothing is cut.
        choice: of several captions of a record without questions: "draw" one each time, or the "first".
    """

    def __init__(self, processor: EarthFmProcessor, *, max_length: int, choice: str = "draw") -> None:
        self.processor, self.max_length, self.choice = processor, max_length, choice

    def __call__(self, record: Record, scenes: Sequence[Scene], *, rng: np.random.Generator) -> Sample:
        """The encoded sample.

        Raises:
            AlignmentError: the record has neither questions nor captions, or shows no image.
            BandError: an image does not fit the encoder.
            LengthError: more than `max_length` tokens.
        """
        number = int(rng.integers(len(record.captions))) if self.choice == "draw" and record.captions and not record.turns else 0
        turns = turns_to_learn(record, self.processor, caption=number)
        with named_after(record):
            return self.processor.encode(
                list(scenes), turns, independent=record.independent, max_length=self.max_length, sample_id=record.sample_id
            )


@dataclass(frozen=True, kw_only=True)
class Collator:
    """Makes training batches.

    Attributes:
        processor: of the samples.
        row_length: tokens of a packed row; None = one sample a row.
    """

    processor: EarthFmProcessor
    row_length: int | None = None

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """The batch. Raises ValueError where a sample alone is longer than a row."""
        return self.processor.collate(samples, row_length=self.row_length)


def turns_to_learn(record: Record, processor: EarthFmProcessor, *, caption: int = 0) -> tuple[Turn, ...]:
    """The turns of a record; where it has none, the question for a caption and the caption of that number.

    Raises:
        AlignmentError: the record has neither questions nor captions.
    """
    if record.turns:
        return record.turns
    if not record.captions:
        raise AlignmentError(
            f"{record.source}: the record has no question and answer, and no caption ({len(record.labels)} labels); this model "
            "learns to write texts. Use a data set of conversations or captions."
        )
    return asked(processor), Turn("assistant", (Text(record.captions[caption]),))


def asked(processor: EarthFmProcessor) -> Turn:
    """The question that captions answer."""
    return Turn("user", about_images(Text(processor.options.caption_prompt)))


def question_turns(record: Record, processor: EarthFmProcessor) -> tuple[Turn, ...]:
    """The turns up to the last question; the question for a caption where there is none. Raises AlignmentError if nothing is asked."""
    if record.turns:
        return record.turns[:-1] if record.turns[-1].role == "assistant" else record.turns
    if not record.captions:
        raise AlignmentError(f"{record.source}: the record asks no question and has no caption; this model answers in text.")
    return (asked(processor),)
