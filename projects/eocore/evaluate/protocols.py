"""What a model can do for an evaluation: generate answers, score classes, embed images and texts.

A predictor, which a system makes of a model folder (`eocore.system.System.predictor`), implements one protocol or more. A task names
those that it can be evaluated through (`eocore.evaluate.tasks`). Everything is batched: N samples, C classes, M texts, D width.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from eocore.data.dataset import Scenes
from eocore.data.formats.class_folders import LABEL
from eocore.data.records import Record
from eocore.errors import ConfigError, DataError
from eocore.evaluate.metrics.classification import display_name

Sample = tuple[Record, Scenes]
"""A record, and its scenes in the order of its images."""

TEMPLATES = (
    "a centered satellite photo of {label}.",
    "a centered satellite photo of a {label}.",
    "a centered satellite photo of the {label}.",
)
"""Source: Radford et al. 2021 (CLIP), the prompts for EuroSAT."""


class AnswerLike(Protocol):
    """What is generated for one sample: text, and masks (K, H, W) bool."""

    text: str
    masks: np.ndarray


Answerer = Callable[[Sequence[Sample]], Sequence[AnswerLike]]
"""What may also be a `PreparingAnswerer`."""


@runtime_checkable
class PreparingAnswerer(Protocol):
    """An answerer of two steps: the first runs in the threads that read, while the second answers an earlier batch."""

    def prepare(self, sample: Sample) -> Any:
        """What `answer` takes for this sample."""

    def answer(self, prepared: Sequence[Any]) -> Sequence[AnswerLike]:
        """One answer a sample."""


@runtime_checkable
class Generates(Protocol):
    """A model that answers with text, masks and boxes.

    Attributes:
        places_by_masks: whether it shows positions by masks: where boxes are asked for, it is asked for a mask, and the box around the
            mask counts.
    """

    places_by_masks: bool

    def answerer(self, max_new_tokens: int) -> Any:
        """An `Answerer` or `PreparingAnswerer` of the first question of each record.

        Raises:
            DataError: (the answerer) a sample does not fit the model.
        """


class ClassPrompts(NamedTuple):
    """The classes to choose among, and the texts that stand for each.

    Attributes:
        classes: C names, in the order of the scores.
        texts: of each class, one or more texts, e.g. of several templates.
    """

    classes: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]


@runtime_checkable
class Scores(Protocol):
    """A model that scores classes. One with a fixed list of classes reads `prompts.classes`, one that reads text the texts."""

    def class_scores(self, images: Sequence[Any], prompts: ClassPrompts) -> np.ndarray:
        """(N, C) scores, higher = more likely; comparable among the samples of a class and among the classes of a sample.

        Args:
            images: N samples, or what `PreparesImages.prepare_image` made of them.
            prompts: the classes.

        Raises:
            ConfigError: the model does not know a class.
            DataError: a sample does not fit the model.
        """


@runtime_checkable
class Embeds(Protocol):
    """A model with one space of vectors for images and texts; the nearer, the greater the cosine."""

    def embed_images(self, images: Sequence[Any]) -> np.ndarray:
        """(N, D) vectors of N samples, or of what `PreparesImages.prepare_image` made of them.

        Raises:
            DataError: a sample does not fit the model.
        """

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(M, D) vectors of M texts."""


@runtime_checkable
class PreparesImages(Protocol):
    """Optional beside `Scores` and `Embeds`: what of a sample needs no model, done in the threads that read."""

    def prepare_image(self, sample: Sample) -> Any:
        """What `class_scores` and `embed_images` take for this sample; called by several threads at once.

        Raises:
            DataError: the sample does not fit the model.
        """


@runtime_checkable
class LoadsWeights(Protocol):
    """Optional: a predictor that reads its weights later than it is made; without samples to predict they are never read."""

    def load(self) -> None:
        """Reads the weights. Raises CheckpointError where the folder is damaged."""


PROTOCOLS: Mapping[str, type] = {"generates": Generates, "scores": Scores, "embeds": Embeds}
"""Name -> protocol."""


class EmbeddingScores:
    """Class scores of a model that embeds: the cosine of the image and the mean of the class's texts (a prompt ensemble).

    Source: Radford et al. 2021 (CLIP), section 3.1.4: vectors of all templates are normalised, averaged, and normalised again.

    Args:
        model: that embeds.
    """

    def __init__(self, model: Embeds) -> None:
        self._model = model
        self._of_classes: dict[ClassPrompts, np.ndarray] = {}
        if isinstance(model, PreparesImages):
            self.prepare_image = model.prepare_image

    def class_scores(self, images: Sequence[Any], prompts: ClassPrompts) -> np.ndarray:
        """See `Scores`."""
        if prompts not in self._of_classes:
            self._of_classes[prompts] = self._embed_classes(prompts)
        cosines: np.ndarray = unit_vectors(self._model.embed_images(images)) @ self._of_classes[prompts].T
        return cosines

    def _embed_classes(self, prompts: ClassPrompts) -> np.ndarray:
        """(C, D) one vector a class."""
        vectors = unit_vectors(self._model.embed_texts([text for texts in prompts.texts for text in texts]))
        ends = np.cumsum([len(texts) for texts in prompts.texts])[:-1]
        return unit_vectors(np.stack([part.mean(axis=0) for part in np.split(vectors, ends)]))


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """(N, D) float32 of length 1.

    Raises:
        DataError: a vector is of length 0 or not finite.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise DataError(
            f"{int((~(np.isfinite(lengths) & (lengths > 0))).sum())} of {len(vectors)} vectors are zero or not finite: they have no "
            "direction, and no cosine. Look for broken images, empty texts or broken weights."
        )
    unit: np.ndarray = vectors / lengths
    return unit


def class_prompts(classes: Sequence[str], templates: Sequence[str]) -> ClassPrompts:
    """Every class in every template, its name spelt in words ("BareLand" -> "bare land").

    Args:
        classes: names, as annotated.
        templates: texts with `{label}` in them.

    Raises:
        ConfigError: no template, or one without `{label}`.
    """
    wrong = [template for template in templates if LABEL not in template]
    if wrong or not templates:
        raise ConfigError(
            f"templates {wrong or 'is empty'}: each must hold {LABEL}, where the class's name goes; all classes would look alike without."
        )
    names = [display_name(name) for name in classes]
    return ClassPrompts(tuple(classes), tuple(tuple(template.replace(LABEL, name) for template in templates) for name in names))


def implemented(predictor: object) -> tuple[str, ...]:
    """Names of the protocols a predictor implements; one that embeds also scores, by the cosines of class prompts."""
    found = [name for name, protocol in PROTOCOLS.items() if isinstance(predictor, protocol)]
    return tuple(dict.fromkeys([*found, *(["scores"] if "embeds" in found else [])]))


def as_scores(predictor: object) -> Scores:
    """The predictor itself where it scores classes, else its scores by embeddings.

    Raises:
        ConfigError: it does neither.
    """
    if isinstance(predictor, Scores):
        return predictor
    if isinstance(predictor, Embeds):
        return EmbeddingScores(predictor)
    raise ConfigError(f"{type(predictor).__name__} neither scores classes nor embeds images and texts (eocore/evaluate/protocols.py).")
