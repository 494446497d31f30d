"""How well classes are told from embeddings alone: a linear classifier and nearest neighbours, learnt from labelled vectors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eocore.errors import ConfigError, DataError
from eocore.evaluate.embedding_scores import unit_vectors
from eocore.evaluate.scoring.intervals import Measure, Value, as_value, mean_of, mean_over_groups, resample

MOST_UPDATES = 1000
"""Of the linear classifier. Source: Radford et al. 2021 (CLIP), appendix A.3: L-BFGS with at most 1000 iterations."""


@dataclass(frozen=True)
class LabelledVectors:
    """Embeddings whose classes are known.

    Attributes:
        vectors: (N, D), made of length 1.
        labels: N classes.

    Raises:
        DataError: there is none, their numbers differ, or a vector has no direction.
    """

    vectors: np.ndarray
    labels: Sequence[str]

    def __post_init__(self) -> None:
        if not len(self.labels) or len(self.vectors) != len(self.labels):
            raise DataError(f"{len(self.vectors)} vectors and {len(self.labels)} labels: expected one label for each, and at least one.")
        object.__setattr__(self, "vectors", unit_vectors(self.vectors))


def linear_probe(train: LabelledVectors, vectors: np.ndarray, *, inverse_penalty: float = 1.0) -> list[str]:
    """Class of each of (N, D) vectors by logistic regression on the standardised training vectors.

    Args:
        train: of at least two classes.
        vectors: to classify.
        inverse_penalty: C of scikit-learn: the greater, the weaker the penalty on weights. It is not chosen here: choosing it by the test
            set would make its figures too high.

    Raises:
        DataError: one class alone, or a vector has no direction.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(set(train.labels)) < 2:
        raise DataError(f"a linear probe needs two classes or more to learn from, found {train.labels[0]} alone.")
    if not inverse_penalty > 0:
        raise ConfigError(f"inverse penalty is {inverse_penalty}, expected a positive number.")
    model = make_pipeline(StandardScaler(), LogisticRegression(C=inverse_penalty, max_iter=MOST_UPDATES))
    found: list[str] = model.fit(train.vectors, list(train.labels)).predict(unit_vectors(vectors)).tolist()
    return found


def nearest_neighbours(train: LabelledVectors, vectors: np.ndarray, *, k: int) -> list[str]:
    """Class of each of (N, D) vectors by the vote of the k training vectors of the highest cosine.

    Raises:
        ConfigError: k is below 1 or above the number of training vectors.
        DataError: a vector has no direction.
    """
    from sklearn.neighbors import KNeighborsClassifier

    if not 1 <= k <= len(train.labels):
        raise ConfigError(f"{k} neighbours, expected 1 to {len(train.labels)}, the number of training images.")
    model = KNeighborsClassifier(k, metric="cosine", algorithm="brute")
    found: list[str] = model.fit(train.vectors, list(train.labels)).predict(unit_vectors(vectors)).tolist()
    return found


def probe_scores(truths: Sequence[str], predictions: Sequence[str], *, images: Sequence[str]) -> dict[str, Value]:
    """Accuracy and balanced accuracy with 95 % bootstrap intervals over the test images.

    Args:
        truths: annotated classes.
        predictions: in the same order.
        images: a name for each, the same where two are of one image.

    Raises:
        DataError: the three are not equally long, or empty.
    """
    if not truths or not len(truths) == len(predictions) == len(images):
        raise DataError(f"{len(truths)} truths, {len(predictions)} predictions, {len(images)} images: expected equally many, at least one.")
    right = np.array([truth == found for truth, found in zip(truths, predictions, strict=True)], dtype=np.float64)
    measures = {"accuracy": mean_of(right), "balanced_accuracy": mean_over_groups(right, np.ones_like(right), groups=truths)}
    return {name: _with_interval(measure, images) for name, measure in measures.items()}


def _with_interval(measure: Measure, images: Sequence[str]) -> Value:
    replicates = measure.reduce(resample(measure.statistics, images, seed=0))
    return as_value(measure.of(np.arange(len(images))), replicates, num_clusters=len(set(images)))
