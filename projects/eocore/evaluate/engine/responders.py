"""How each protocol of a predictor becomes lines of a predictions file: one responder a protocol, the same loop for all."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from eocore.data.io.masks import encode_rle, mask_to_box
from eocore.errors import ConfigError
from eocore.evaluate.embedding_scores import as_scores, class_prompts
from eocore.evaluate.metrics.boxes import box_text
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.protocols import (
    Answerer,
    AnswerLike,
    Embeds,
    PreparesImages,
    PreparingAnswerer,
    Sample,
    Scores,
)
from eocore.evaluate.scoring.parsing.boxes import parse_boxes
from eocore.evaluate.scoring.scorers.base import candidates_of, references_of
from eocore.evaluate.tasks import EMBEDS, GENERATES, SCORES


@dataclass(frozen=True)
class Response:
    """What a model returned for one sample.

    Attributes:
        text: the answer, the best class, or "".
        masks: COCO RLE.
        vectors: class scores or embeddings, see `Prediction.vectors`; None where there are none.
    """

    text: str
    masks: Sequence[Mapping[str, Any]] = ()
    vectors: np.ndarray | None = field(default=None, compare=False)


class Responder(Protocol):
    """Responds to samples in two steps: the first runs in the threads that read, while the second responds to an earlier batch."""

    def prepare(self, sample: Sample) -> Any:
        """What `respond` takes for this sample. Raises DataError where the model cannot take it."""

    def respond(self, batch: Sequence[tuple[Prediction, Any]]) -> list[Response]:
        """One response for each (line without prediction, what `prepare` made). Raises DataError where the model cannot take one."""


class GeneratedAnswers:
    """Answers in text and masks.

    Args:
        answerer: of the model.
    """

    def __init__(self, answerer: Answerer | PreparingAnswerer) -> None:
        self._answerer = answerer

    def prepare(self, sample: Sample) -> Any:
        """See `Responder`."""
        return self._answerer.prepare(sample) if isinstance(self._answerer, PreparingAnswerer) else sample

    def respond(self, batch: Sequence[tuple[Prediction, Any]]) -> list[Response]:
        """See `Responder`."""
        answer = self._answerer.answer if isinstance(self._answerer, PreparingAnswerer) else self._answerer
        answers = answer([prepared for _, prepared in batch])
        return [
            Response(_text(unanswered, answer), tuple(encode_rle(mask) for mask in answer.masks))
            for (unanswered, _), answer in zip(batch, answers, strict=True)
        ]


def _text(unanswered: Prediction, answer: AnswerLike) -> str:
    """The answer's text; to one that should give a box and draws masks instead, the box around them is added, 0 to 100."""
    if unanswered.task != "grounding" or not answer.masks.any() or parse_boxes(answer.text):
        return answer.text
    height, width = answer.masks.shape[1:]
    left, top, right, bottom = mask_to_box(np.logical_or.reduce(answer.masks)) or (0, 0, 0, 0)
    return f"{answer.text} {box_text([100 * left / width, 100 * top / height, 100 * right / width, 100 * bottom / height])}"


class ClassScorer:
    """Scores of the candidates of each sample.

    Args:
        model: that scores.
        templates: texts with `{label}`, for a model that reads text.
    """

    def __init__(self, model: Scores, templates: Sequence[str]) -> None:
        self._model, self._templates = model, tuple(templates)

    def prepare(self, sample: Sample) -> Any:
        """See `Responder`."""
        return self._model.prepare_image(sample) if isinstance(self._model, PreparesImages) else sample

    def respond(self, batch: Sequence[tuple[Prediction, Any]]) -> list[Response]:
        """See `Responder`."""
        groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for index, (unanswered, _) in enumerate(batch):
            groups[tuple(candidates_of(unanswered))].append(index)
        responses: dict[int, Response] = {}
        for classes, indices in groups.items():
            scores = self._model.class_scores([batch[index][1] for index in indices], class_prompts(classes, self._templates))
            rows = _checked(scores, (len(indices), len(classes)), model=self._model)
            responses |= {index: Response(classes[int(row.argmax())], vectors=row) for index, row in zip(indices, rows, strict=True)}
        return [responses[index] for index in range(len(batch))]


class Embedder:
    """The vector of each sample's image, followed by those of its reference texts.

    Args:
        model: that embeds.
    """

    def __init__(self, model: Embeds) -> None:
        self._model = model

    def prepare(self, sample: Sample) -> Any:
        """See `Responder`."""
        return self._model.prepare_image(sample) if isinstance(self._model, PreparesImages) else sample

    def respond(self, batch: Sequence[tuple[Prediction, Any]]) -> list[Response]:
        """See `Responder`."""
        texts = [references_of(unanswered) for unanswered, _ in batch]
        images = _checked(self._model.embed_images([prepared for _, prepared in batch]), (len(batch), -1), model=self._model)
        found = self._model.embed_texts([text for part in texts for text in part])
        vectors = _checked(found, (sum(map(len, texts)), images.shape[1]), model=self._model)
        parts = np.split(vectors, np.cumsum([len(part) for part in texts])[:-1])
        return [Response("", vectors=np.concatenate([image[None], part])) for image, part in zip(images, parts, strict=True)]


def _checked(found: Any, shape: tuple[int, int], *, model: object) -> np.ndarray:
    """(rows, columns) float32.

    Raises:
        ConfigError: the model's array has another shape, which is a fault of its predictor.
    """
    array = np.asarray(found, dtype=np.float32)
    if array.ndim != 2 or array.shape[0] != shape[0] or shape[1] not in (-1, array.shape[1]):
        raise ConfigError(
            f"{type(model).__name__} returned an array of shape {array.shape}, expected {shape} (-1 = any): rows would be taken for those "
            "of other samples or classes. Correct the predictor of the model's system."
        )
    return array


@dataclass(frozen=True, kw_only=True)
class ResponseOptions:
    """How a model is asked.

    Attributes:
        max_new_tokens: longest answer of a model that generates.
        templates: of class prompts, for one that scores.
    """

    max_new_tokens: int
    templates: tuple[str, ...]


def make_responder(predictor: Any, protocol: str, *, options: ResponseOptions) -> Responder:
    """The responder of a protocol that the predictor implements.

    Args:
        predictor: of a model.
        protocol: from `tasks.protocol_of`.
        options: of the run.
    """
    if protocol == GENERATES:
        return GeneratedAnswers(predictor.answerer(options.max_new_tokens))
    if protocol == SCORES:
        return ClassScorer(as_scores(predictor), options.templates)
    if protocol == EMBEDS:
        return Embedder(predictor)
    raise ConfigError(f"no responder for protocol '{protocol}'; there are {GENERATES}, {SCORES}, {EMBEDS}.")
