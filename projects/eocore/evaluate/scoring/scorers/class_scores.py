"""Classes by the scores a model gives all of them: one class per image, or several."""

from collections.abc import Callable, Sequence

import numpy as np

from eocore.errors import AnnotationError, ConfigError
from eocore.evaluate.metrics import classification
from eocore.evaluate.metrics.multilabel import class_counts, macro_f1
from eocore.evaluate.metrics.retrieval import TOP, average_precision, average_precision_of_hits
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.intervals import Measure, mean_of, without_interval
from eocore.evaluate.scoring.scorers.base import Judged, candidates_of, missing, vectors_of
from eocore.evaluate.scoring.scorers.classes import mean_recall
from eocore.registry import METRICS


@METRICS.register_module()
class ClassScores:
    """Top-k accuracy of class scores.

    `accuracy`: the annotated class has the highest score. `accuracy_top<k>`: it is among the k highest, for each k below the number of
    classes. `balanced_accuracy`: mean over the classes of `accuracy`. `map_macro@<n>`: mean over the classes of the average precision
    among the first n images, ranked by the class's score. Of equal scores, the annotated class comes last, so that a model
    that scores all classes alike is never right.

    Args:
        top_k: the cuts besides 1.
        retrieved: n of `map_macro@<n>`.
    """

    headline = "accuracy"

    def __init__(self, *, top_k: Sequence[int] = (5,), retrieved: int = TOP) -> None:
        self._retrieved = retrieved
        if not all(isinstance(k, int) and k > 1 for k in top_k):
            raise ConfigError(f"ClassScores: top_k must be whole numbers above 1, found {top_k!r}.")
        self._cuts = tuple(top_k)

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        labels = same_candidates(samples)
        scores, lost = score_matrix(samples, len(labels)), missing(samples)
        truths = np.array([_index_of(sample, labels) for sample in samples])
        rows = np.arange(len(samples))
        own = scores[rows, truths]
        relevant = truths[:, None] == np.arange(len(labels))
        ahead = (scores >= own[:, None]).sum(axis=1) - 1 + len(labels) * lost  # classes that come before the annotated one
        best = np.array([np.lexsort((np.arange(len(labels)) == truth, -row))[0] for row, truth in zip(scores, truths, strict=True)])
        right = (ahead < 1).astype(np.float64)
        named = [None if gone else labels[index] for index, gone in zip(best, lost, strict=True)]
        counts = classification.confusion_matrix([labels[index] for index in truths], named, labels=labels)
        return Judged(
            samples=samples,
            measures={
                "accuracy": mean_of(right),
                **{f"accuracy_top{k}": mean_of((ahead < k).astype(np.float64)) for k in self._cuts if k < len(labels)},
                "balanced_accuracy": mean_recall(right, truths.tolist(), num_classes=len(labels)),
                **_retrieval(scores, relevant, top_k=self._retrieved),
            },
            compat=_retrieval_of_hits(scores, relevant, top_k=self._retrieved),
            num_missing=lost,
            num_unparsed=np.zeros_like(lost),
            quality=right,
            details={"confusion": {"labels": labels, "counts": counts.tolist()}},
        )


@METRICS.register_module()
class LabelScores:
    """Several classes per image by the scores of all.

    `map_macro`: mean over the annotated classes of the average precision of the images ranked by the class's score; `map_macro@<k>` among
    the first k images; `map_micro`: all decisions ranked together; these three are no sums over images and have no interval.
    `map_sample`: mean over images of the average precision of the classes ranked by their scores. An image without prediction comes last.
    In `reference_compat`, as MS-CLIP's code decides: a class is named where its score is above the mean of the image's other classes, or
    above that of the class `other`; `above_mean_accuracy` is the mean over classes of the fraction of images decided rightly (chance: about
    a half), `above_mean_f1_macro` the F1 of these decisions.

    Args:
        top_k: k of `map_macro@<k>`.
        other: class that stands for everything else; it is no class of the scores. "" = there is none.
    """

    headline = "map_macro"

    def __init__(self, *, top_k: int = TOP, other: str = "") -> None:
        self._top, self._other = top_k, other

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        labels = same_candidates(samples)
        scores, lost = score_matrix(samples, len(labels)), missing(samples)
        relevant = np.array([_annotated(sample, labels) for sample in samples])
        decided = decisions(scores, None if not self._other else _position(self._other, labels))
        if self._other:
            kept = [index for index, label in enumerate(labels) if label != self._other]
            labels, scores, relevant, decided = [labels[index] for index in kept], scores[:, kept], relevant[:, kept], decided[:, kept]
        by_sample = average_precision(scores, relevant) * (1 - lost)
        per_class = {label: _class_precision(scores[:, [index]], relevant[:, [index]]) for index, label in enumerate(labels)}
        return Judged(
            samples=samples,
            measures={
                "map_macro": _of_classes(scores, relevant, of=average_precision),
                **_retrieval(scores, relevant, top_k=self._top),
                "map_micro": without_interval(
                    lambda rows: float(average_precision(scores[rows].reshape(1, -1), relevant[rows].reshape(1, -1))[0]), len(samples)
                ),
                "map_sample": mean_of(by_sample),
            },
            compat={
                **_retrieval_of_hits(scores, relevant, top_k=self._top),
                "above_mean_accuracy": mean_of((decided == relevant).mean(axis=1)),
                "above_mean_f1_macro": Measure(class_counts(decided, relevant).reshape(len(samples), -1), _f1_of_sums),
            },
            num_missing=lost,
            num_unparsed=np.zeros_like(lost),
            quality=by_sample,
            details={"class_precision": per_class},
        )


def decisions(scores: np.ndarray, other: int | None) -> np.ndarray:
    """(N, C) bool: the classes that an image is said to show, as MS-CLIP's code decides by (N, C) scores.

    Args:
        scores: of N images and C classes.
        other: position of the class that stands for everything else; None = each class is compared with the mean of the image's others.
    """
    if other is not None:
        return scores > scores[:, [other]]
    return scores > (scores.sum(axis=1, keepdims=True) - scores) / max(scores.shape[1] - 1, 1)


def _f1_of_sums(sums: np.ndarray) -> np.ndarray:
    return macro_f1(sums.reshape(*sums.shape[:-1], -1, 3))


def _position(name: str, labels: Sequence[str]) -> int:
    if name not in labels:
        raise ConfigError(f"LabelScores: other='{name}' is none of the classes {', '.join(labels)}. Add it to them, or leave it out.")
    return list(labels).index(name)


def _retrieval(scores: np.ndarray, relevant: np.ndarray, *, top_k: int) -> dict[str, Measure]:
    return {f"map_macro@{top_k}": _of_classes(scores, relevant, of=lambda *pair: average_precision(*pair, top_k=top_k))}


def _retrieval_of_hits(scores: np.ndarray, relevant: np.ndarray, *, top_k: int) -> dict[str, Measure]:
    return {f"map_macro@{top_k}_of_hits": _of_classes(scores, relevant, of=lambda *pair: average_precision_of_hits(*pair, top_k=top_k))}


def _of_classes(scores: np.ndarray, relevant: np.ndarray, *, of: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Measure:
    """The mean over the annotated classes of an average precision of images; no sum over images, so without an interval."""

    def mean(rows: np.ndarray) -> float:
        there = relevant[rows].any(axis=0)
        if not there.any():
            return float("nan")
        return float(of(scores[rows][:, there].T, relevant[rows][:, there].T).mean())

    return without_interval(mean, len(scores))


def _class_precision(scores: np.ndarray, relevant: np.ndarray) -> float | None:
    """Average precision of one class from (N, 1) scores; None where it is not annotated."""
    return float(average_precision(scores.T, relevant.T)[0]) if relevant.any() else None


def same_candidates(samples: Sequence[Prediction]) -> list[str]:
    """The classes of all samples, in the order of their scores.

    Raises:
        AnnotationError: a sample has other classes, or the same in another order.
    """
    labels = candidates_of(samples[0])
    for sample in samples:
        if candidates_of(sample) != labels:
            raise AnnotationError(
                f"sample '{sample.sample_id}' has other classes than '{samples[0].sample_id}', or another order of them; figures of a "
                "class would mix them. Score the sets apart."
            )
    return labels


def score_matrix(samples: Sequence[Prediction], num_classes: int) -> np.ndarray:
    """(N, C) float64 scores; those of a sample without prediction are below all others.

    Raises:
        DataError: a sample has no scores, or another number of them.
    """
    found = [None if sample.prediction is None else vectors_of(sample, (num_classes,)) for sample in samples]
    lowest = min((float(row.min()) for row in found if row is not None), default=0.0) - 1.0
    return np.array([np.full(num_classes, lowest) if row is None else row for row in found], dtype=np.float64)


def _index_of(sample: Prediction, labels: Sequence[str]) -> int:
    forms = {classification.normalise_label(label): index for index, label in enumerate(labels)}
    form = classification.normalise_label(sample.ground_truth)
    if form not in forms:
        raise AnnotationError(
            f"sample '{sample.sample_id}': annotated class {sample.ground_truth!r} is none of the {len(labels)} candidates. Correct one of "
            "the two."
        )
    return forms[form]


def _annotated(sample: Prediction, labels: Sequence[str]) -> np.ndarray:
    """(C,) bool, the classes annotated."""
    listed = sample.meta.get("labels")
    if not isinstance(listed, list | tuple) or not listed or not all(label in labels for label in listed):
        raise AnnotationError(
            f"sample '{sample.sample_id}': 'labels' in its meta must be one class or more among the {len(labels)} candidates, found "
            f"{listed!r:.80}. Correct the annotation or the list of classes."
        )
    return np.isin(np.array(labels), np.array(list(listed)))
