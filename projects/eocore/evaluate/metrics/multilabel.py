"""Several classes per image: F1, exact match, and the published recall of words.

Written here since intervals score drawn samples by summed counts, which scikit-learn's f1_score does not take; tests compare the two.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

Reduce = Callable[[np.ndarray], np.ndarray]


def label_matrix(sets: Sequence[frozenset[int] | None], num_labels: int) -> np.ndarray:
    """(N, C) bool; a row of False where nothing was named."""
    matrix = np.zeros((len(sets), num_labels), dtype=bool)
    for row, indices in enumerate(sets):
        matrix[row, sorted(indices or ())] = True
    return matrix


def sample_f1(predicted: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """(N,) F1 of each sample's set of classes: 2 TP / (2 TP + FP + FN); 1 where both are empty."""
    shared, either = (predicted & annotated).sum(axis=1), predicted.sum(axis=1) + annotated.sum(axis=1)
    return np.divide(2.0 * shared, either, out=np.ones(len(shared)), where=either > 0)


def class_counts(predicted: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """(N, C, 3) TP, FP, FN of each sample and class, to be summed over samples."""
    return np.stack([predicted & annotated, predicted & ~annotated, ~predicted & annotated], axis=-1).astype(np.float64)


def micro_f1(counts: np.ndarray) -> np.ndarray:
    """(...) F1 of all classes' decisions together, from (..., C, 3) summed counts; NaN where there is nothing to decide."""
    return _f1(counts.sum(axis=-2))


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """(...) mean F1 of the classes that are annotated at least once, from (..., C, 3) summed counts."""
    support = counts[..., 0] + counts[..., 2] > 0
    num = support.sum(axis=-1)
    total = np.where(support, np.nan_to_num(_f1(counts)), 0.0).sum(axis=-1)
    return np.divide(total, num, out=np.full(total.shape, np.nan), where=num > 0)


def _f1(counts: np.ndarray) -> np.ndarray:
    double, rest = 2.0 * counts[..., 0], counts[..., 1] + counts[..., 2]
    return np.divide(double, double + rest, out=np.full(double.shape, np.nan), where=double + rest > 0)


def token_recall(answer: str, truth: str) -> float:
    """Fraction of the truth's words and marks found in the answer, each counted once above but as often as it stands below.

    The published multispectral "accuracy". Naming every class gives the most there is, and a perfect answer less than 1 where a mark
    is duplicated; for comparison with those figures only.
    """
    given, asked = _marks(answer), _marks(truth)
    return len(set(given) & set(asked)) / len(asked) if asked else 0.0


def _marks(text: str) -> list[str]:
    return re.findall(r"[\w'-]+|[^\w\s]", text.lower())
