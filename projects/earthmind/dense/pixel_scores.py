"""Logits of pixels for maps of whole scenes: masks that the model draws for texts, before they are cut at 0."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch.nn import functional

from earthmind.benchmarks import SEGMENT
from earthmind.model.answering import Answer
from eocore.data.records import Record
from eocore.portable.messages import Text, Turn, about_images
from eocore.sensors.scene import Scene

ImageSample: TypeAlias = tuple[Record, Sequence[Scene]]
NO_MASK = -8.0
"""Logit of every pixel where the model draws no mask: a probability of 0.0003. Logits of masks are kept between it and its negative, so
that where windows overlap none outweighs all others."""
MASK_TOKENS = 64
"""Longest answer to a request for a mask."""


def mask_scores(
    answer: Callable[[Sequence[ImageSample]], Sequence[Answer]], samples: Sequence[ImageSample], *, texts: Sequence[str]
) -> list[np.ndarray]:
    """Of each sample (C, H, W) float32 logits of C texts on its first image; of several masks for a text, a pixel has the highest logit.

    Args:
        answer: the last question of each sample.
        samples: images.
        texts: what is to be segmented.

    Raises:
        DataError: as `answer`.
    """
    asked = [(_ask(record, text), scenes) for record, scenes in samples for text in texts]
    answers = answer(asked)
    layers = [_scores(found, scenes[0].size) for found, (_, scenes) in zip(answers, asked, strict=True)]
    return [np.stack(layers[start : start + len(texts)]) for start in range(0, len(layers), len(texts))]


def _ask(record: Record, text: str) -> Record:
    question = Turn("user", about_images(Text(SEGMENT.replace("{phrase}", text))))
    return Record(record.sample_id, record.images, (question,), source=record.source)


def _scores(answer: Answer, size: tuple[int, int]) -> np.ndarray:
    """(H, W) float32; scaled as masks are."""
    if not len(answer.mask_logits):
        return np.full(size, NO_MASK, np.float32)
    scaled = functional.interpolate(answer.mask_logits[:, None].float(), size=size, mode="bilinear", align_corners=False)
    found: np.ndarray = torch.amax(scaled[:, 0], dim=0).clamp(NO_MASK, -NO_MASK).cpu().numpy()
    return found
