"""Several classes per image: reading a set of classes out of an answer, F1 and exact match."""

import re
import string
from collections.abc import Callable, Sequence

import numpy as np

Reduce = Callable[[np.ndarray], np.ndarray]

_LETTERS = re.compile(r"(?<![\w'-])([A-Z])(?![\w'-])")
_ONLY_LETTERS = re.compile(r"[\s(\[]*[A-Za-z][)\].]?(?:(?:\s*[,;/&+]\s*|\s+and\s+|\s+)[(\[]?[A-Za-z][)\].]?)*[\s.]*", re.IGNORECASE)


def parse_labels(answer: str, labels: Sequence[str]) -> frozenset[int] | None:
    """Which classes an answer names.

    An answer of nothing but letters ("A, C and F", also in lower case) names classes by their place among `labels`. Otherwise class names
    are looked for, longest first, and what one has claimed is not read again, so that a name inside another is not found twice; names
    with commas stay whole. Where no name is found, or all classes are called by letters alone, single capitals count ("Answer: A, C").

    Args:
        answer: the model's text.
        labels: the classes in the order of their letters.

    Returns:
        Places in `labels`; None where the answer names none, which counts as an empty set and as not readable.
    """
    if not answer.strip():
        return None
    if is_letters(answer):
        places = {string.ascii_uppercase.index(letter.upper()) for letter in re.findall(r"\b[A-Za-z]\b", answer)}
        return _known(places, len(labels))
    named = _named(answer, labels) if any(len(label.strip()) > 1 for label in labels) else set()
    if named:
        return frozenset(named)
    return _known({string.ascii_uppercase.index(letter) for letter in _LETTERS.findall(answer)}, len(labels))


def is_letters(text: str) -> bool:
    """Whether a text is nothing but single letters: "A", "(B), C and D."."""
    return _ONLY_LETTERS.fullmatch(text) is not None


def _known(places: set[int], count: int) -> frozenset[int] | None:
    return frozenset(place for place in places if place < count) or None


def _named(answer: str, labels: Sequence[str]) -> set[int]:
    rest = _words(answer)
    found = set()
    for place in sorted(range(len(labels)), key=lambda index: len(labels[index]), reverse=True):
        form = _words(labels[place])
        if form.strip() and form in rest:
            found.add(place)
            rest = rest.replace(form, "  |  ")
    return found


def _words(text: str) -> str:
    """Letters and digits in lower case, one blank between words and two around all, so that a name fits whole words only."""
    return "  " + "  ".join(re.findall(r"[^\W_]+", text.casefold())) + "  "


def label_matrix(sets: Sequence[frozenset[int] | None], num_labels: int) -> np.ndarray:
    """(N, C) bool; a row of False where nothing was named."""
    matrix = np.zeros((len(sets), num_labels), dtype=bool)
    for row, places in enumerate(sets):
        matrix[row, sorted(places or ())] = True
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
    """Share of the truth's words and marks found in the answer, each counted once above but as often as it stands below.

    The published multispectral "accuracy". Naming every class gives the most there is, and a perfect answer less than 1 where a mark
    stands twice; for comparison with those figures only.
    """
    given, asked = _marks(answer), _marks(truth)
    return len(set(given) & set(asked)) / len(asked) if asked else 0.0


def _marks(text: str) -> list[str]:
    return re.findall(r"[\w'-]+|[^\w\s]", text.lower())
