"""Images and their captions alone, as the pooler learns from them."""

from dataclasses import dataclass, replace

import numpy as np

from eocore.data.records import Record
from eocore.errors import DataError
from eocore.portable.messages import Image, Text, Turn
from eocore.registry import TRANSFORMS


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class AerithImageAlone:
    """Leaves an image and the first answer or caption about it: nothing is asked ("plain" of LHRS-Bot)."""

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record with one question, which is the image.

        Raises:
            DataError: it has neither.
        """
        answers = [turn for turn in record.turns if turn.role == "assistant"]
        answers += [Turn("assistant", (Text(caption),)) for caption in record.captions[:1]]
        if not answers:
            raise DataError(f"{record.source}: sample '{record.sample_id}' has no answer that could describe its image. Leave it out.")
        return replace(record, turns=(Turn("user", (Image(),)), answers[0]))
