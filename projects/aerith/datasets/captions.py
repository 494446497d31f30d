"""Images and their captions alone, as the pooler learns from them."""

import re
from dataclasses import dataclass, replace

import numpy as np

from eocore.data.records import Record
from eocore.errors import DataError
from eocore.portable.messages import Image, Text, Turn
from eocore.registry import TRANSFORMS

REMOVED = re.compile(r"[.!\"()*#:;~]")
"""Marks that LHRS-Bot takes out of captions (NJU-LHRS/LHRS-Bot at 84d9fdd)."""
MAX_WORDS = 50
"""Words of a caption that LHRS-Bot keeps."""


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class AerithCleanCaptions:
    """Captions as LHRS-Bot learns from them: in lower case, without `REMOVED`, one space between words, the first words of long ones.

    It changes what is trained on alone where a config names it; what captions are scored against (`references`) stays.

    Args:
        max_words: what is beyond is left out.
    """

    max_words: int = MAX_WORDS

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record with clean captions.

        Raises:
            DataError: it has no caption, or nothing is left of one.
        """
        captions = tuple(" ".join(REMOVED.sub(" ", caption.lower()).split()[: self.max_words]) for caption in record.captions)
        if not captions or not all(captions):
            found = "a caption without words" if captions else "no caption"
            raise DataError(f"{record.source}: sample '{record.sample_id}' has {found}, so nothing would be learned from it. Leave it out.")
        return replace(record, captions=captions)


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
