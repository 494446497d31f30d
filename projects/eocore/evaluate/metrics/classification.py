"""Scene classes: reading a class out of an answer, confusion, balanced accuracy."""

import difflib
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from eocore.errors import AnnotationError


def normalise_label(text: str) -> str:
    """Lower case, letters and digits only ("Bare Land." and "bareLand" are one). Source: GeoChat's rule, extended to all punctuation."""
    return re.sub(r"[\W_]", "", text.casefold())


def parse_label(answer: str, labels: Sequence[str], *, contained: bool = True) -> str | None:
    """The class an answer names.

    Args:
        answer: the model's text.
        labels: all classes of the set.
        contained: accept an answer that has a class somewhere in it: the longest one; two of equal length are no answer. Published
            figures differ here (GeoChat and EarthDial ask for equality, LHRS-Bot for the longest common part): state which was used.

    Returns:
        One of `labels`, None where the answer names none, which counts as wrong.
    """
    given = normalise_label(answer)
    by_form = {normalise_label(label): label for label in labels}
    if given in by_form or not contained:
        return by_form.get(given)
    inside = sorted((form for form in by_form if form and form in given), key=len, reverse=True)
    if not inside or (len(inside) > 1 and len(inside[0]) == len(inside[1])):
        return None
    return by_form[inside[0]]


@lru_cache(maxsize=4096)
def longest_common_label(answer: str, labels: tuple[str, ...]) -> str | None:
    """The class that is the answer, in any case; else the one that shares the longest run of characters with it, the first of several.
    None where none shares any. Source: LHRS-Bot, main_cls.py."""
    given = answer.strip().lower()
    runs = [_common_run(given, label.lower()) if label.lower() != given else len(given) + 1 for label in labels]
    return labels[runs.index(max(runs))] if max(runs) else None


def _common_run(one: str, other: str) -> int:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).find_longest_match().size


def confusion_matrix(truths: Sequence[str], predictions: Sequence[str | None], *, labels: Sequence[str]) -> np.ndarray:
    """(C, C + 1) counts: row = annotated class, column = predicted class, last column = no class could be read.

    Args:
        truths: annotated classes.
        predictions: predicted classes in the same order, None where there is none.
        labels: the C classes.

    Raises:
        AnnotationError: an annotated class is not among the labels.
    """
    from sklearn import metrics

    strange = sorted(set(truths) - set(labels))
    if strange:
        raise AnnotationError(f"annotated class {strange[0]!r} is none of the {len(labels)} labels {list(labels)}. Correct one of the two.")
    row = {label: index for index, label in enumerate(labels)}
    unread = len(labels)
    named = [unread if prediction is None else row[prediction] for prediction in predictions]
    counts: np.ndarray = metrics.confusion_matrix([row[truth] for truth in truths], named, labels=range(unread + 1))
    return counts[:unread]
