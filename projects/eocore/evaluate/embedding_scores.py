"""Class scores of a model that embeds: prompts of classes, their mean vectors, cosines."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from eocore.data.formats.class_folders import LABEL
from eocore.errors import ConfigError, DataError
from eocore.evaluate.protocols import ClassPrompts, Embeds, PreparesImages, Scores
from eocore.text import display_name


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


def as_scores(predictor: object) -> Scores:
    """The predictor itself where it scores classes, else its scores by embeddings.

    Raises:
        ConfigError: it does neither.
    """
    if isinstance(predictor, Scores):
        return predictor
    if isinstance(predictor, Embeds):
        return EmbeddingScores(predictor)
    raise ConfigError(
        f"{type(predictor).__name__} neither scores classes nor embeds images and texts, so it cannot choose one of them. "
        "Ask it in words, or name a model that does, such as one of ms_clip."
    )
