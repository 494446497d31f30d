"""Scores of pixels from whatever protocol a model implements."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from eocore.data.formats.class_folders import LABEL
from eocore.data.records import Record
from eocore.errors import ConfigError
from eocore.evaluate.embedding_scores import as_scores, class_prompts
from eocore.evaluate.protocols import (
    Embeds,
    Generates,
    PixelScale,
    PreparesImages,
    PreparingAnswerer,
    Sample,
    Scores,
    ScoresPixels,
    implemented,
)
from eocore.portable.messages import Text, Turn, about_images

SIDE = 256
"""Of the windows of a model that does not say what it sees best [px]."""
LOGIT = 8.0
"""What a mask counts as that comes without logits, and, negative, the lack of one: a probability of 0.9997."""
SEGMENT = "Please segment {text} in this image."
MOST_TOKENS = 64


class MasksAsScores:
    """`ScoresPixels` of a model that answers with masks, by the question `SEGMENT`.

    Args:
        model: that generates.
    """

    pixel_scale: PixelScale = "logits"
    window_side = SIDE

    def __init__(self, model: Generates) -> None:
        self._model = model

    @cached_property
    def _answerer(self) -> Any:
        """Made when it is asked, since that may read the weights."""
        return self._model.answerer(MOST_TOKENS)

    def pixel_scores(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[np.ndarray]:
        """See `ScoresPixels`."""
        asked = [ask_for_mask(sample, text) for sample in samples for text in texts]
        if isinstance(self._answerer, PreparingAnswerer):
            answers = self._answerer.answer([self._answerer.prepare(sample) for sample in asked])
        else:
            answers = self._answerer(asked)
        layers = [
            np.where(answer.masks.any(axis=0), np.float32(LOGIT), np.float32(-LOGIT))
            if len(answer.masks)
            else np.full(scenes[0].size, -LOGIT, np.float32)
            for answer, (_, scenes) in zip(answers, asked, strict=True)
        ]
        return [np.stack(layers[start : start + len(texts)]) for start in range(0, len(layers), len(texts))]


class ClassesAsScores:
    """`ScoresPixels` of a model that scores or embeds whole images: every pixel of a window has the window's scores.

    Args:
        model: that scores classes.
    """

    pixel_scale: PixelScale = "relative"
    window_side = SIDE

    def __init__(self, model: Scores) -> None:
        self._model = model

    def pixel_scores(self, samples: Sequence[Sample], texts: Sequence[str]) -> list[np.ndarray]:
        """See `ScoresPixels`."""
        shown = [self._model.prepare_image(sample) if isinstance(self._model, PreparesImages) else sample for sample in samples]
        scores = self._model.class_scores(shown, class_prompts(tuple(texts), [LABEL]))
        return [
            np.broadcast_to(np.asarray(row, np.float32)[:, None, None], (len(texts), *scenes[0].size))
            for row, (_, scenes) in zip(scores, samples, strict=True)
        ]


def as_pixel_scores(predictor: object) -> ScoresPixels:
    """The predictor itself where it scores pixels, else its masks or the classes of whole windows.

    Raises:
        ConfigError: it does none of these.
    """
    if isinstance(predictor, ScoresPixels):
        return predictor
    if isinstance(predictor, Generates) and predictor.boxes_by_masks:  # one that shows positions by numbers draws none
        return MasksAsScores(predictor)
    if isinstance(predictor, Scores | Embeds):
        return ClassesAsScores(as_scores(predictor))
    raise ConfigError(
        f"{type(predictor).__name__} implements {', '.join(implemented(predictor)) or 'none'} of the protocols that maps are made through: "
        "it neither scores pixels nor classes, and draws no masks (eocore/evaluate/protocols.py). Ask it about each window (--ask), or "
        "choose another model."
    )


def ask_for_mask(sample: Sample, text: str) -> Sample:
    """The sample with the question for a mask of what the text names."""
    record, scenes = sample
    question = Turn("user", about_images(Text(SEGMENT.replace("{text}", text))))
    return Record(sample_id=record.sample_id, images=record.images, turns=(question,), source=record.source, task="referring"), scenes
