"""Scene classes: one per image, or several."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from eocore.errors import AnnotationError, ConfigError
from eocore.evaluate.metrics import classification, multilabel, vqa
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.intervals import Measure, mean_of
from eocore.evaluate.scoring.parsing.choices import ReadChoice, read_choice
from eocore.evaluate.scoring.parsing.reading_options import MODES, Mode
from eocore.evaluate.scoring.parsing.text import final_answer
from eocore.evaluate.scoring.scorers.base import Judged, candidates_of, missing
from eocore.registry import METRICS

MAX_CLASSES = 500
"""More are no class set: the confusion of all with all would fill the memory."""


@METRICS.register_module()
class SceneClass:
    """Fraction of images whose class is named.

    `accuracy`: the answer is the class, once case, spaces and punctuation are gone. `accuracy_contained`: a class standing in a longer
    answer counts too. `balanced_accuracy`: mean over the classes of `accuracy`. An answer in which no class of the set can be found
    counts as unreadable; it is wrong in all three. `reference_compat` has LHRS-Bot's rule, which takes the class that shares the longest
    run of characters with the answer, so that nearly every answer names one.
    """

    headline = "accuracy"

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        labels = candidates_of(samples[0])
        if len(labels) > MAX_CLASSES:
            raise ConfigError(
                f"{len(labels)} classes, at most {MAX_CLASSES} are scored as such (sample '{samples[0].sample_id}': {labels[0]!r:.40}, "
                f"{labels[1]!r:.40}, ...). Free answers are task vqa or caption; else give the set's classes."
            )
        nameless = next((sample for sample in samples if not classification.normalise_label(sample.ground_truth)), None)
        if nameless is not None:
            raise AnnotationError(
                f"sample '{nameless.sample_id}': the annotated class {nameless.ground_truth!r} has no letter; no answer could be right. "
                "Correct the annotation."
            )
        forms = {classification.normalise_label(label): label for label in labels}
        truths = [forms.get(classification.normalise_label(sample.ground_truth), sample.ground_truth) for sample in samples]
        said = [final_answer(sample.prediction or "") for sample in samples]
        named = [classification.parse_label(text, labels) for text in said]
        exact = [classification.parse_label(text, labels, contained=False) for text in said]
        counts = classification.confusion_matrix(truths, named, labels=labels)
        right, contained = _equal(exact, truths), _equal(named, truths)
        published = [vqa.match_as_published(sample.prediction or "", sample.ground_truth) for sample in samples]
        nearest = [classification.longest_common_label(sample.prediction or "", tuple(labels)) for sample in samples]
        lost = missing(samples)
        return Judged(
            samples=samples,
            measures={
                "accuracy": mean_of(right),
                "accuracy_contained": mean_of(contained),
                "balanced_accuracy": mean_recall(right, [labels.index(truth) for truth in truths], num_classes=len(labels)),
            },
            num_missing=lost,
            num_unparsed=np.array([name is None for name in named], dtype=np.int64) - lost,
            quality=right,
            compat={
                "accuracy_bare_equality": mean_of(np.array(published, dtype=np.float64)),
                "accuracy_longest_common_substring": mean_of(_equal(nearest, truths)),
            },
            details={"confusion": {"labels": labels, "counts": counts.tolist()}},
        )


def _equal(named: Sequence[str | None], truths: Sequence[str]) -> np.ndarray:
    return np.array([name == truth for name, truth in zip(named, truths, strict=True)], dtype=np.float64)


def mean_recall(right: np.ndarray, classes: Sequence[int], *, num_classes: int) -> Measure:
    """Balanced accuracy; as sums of samples, for the intervals, where scikit-learn's balanced_accuracy_score takes whole sets."""
    statistics = np.zeros((len(right), num_classes, 2))
    statistics[np.arange(len(right)), classes] = np.stack([right, np.ones_like(right)], axis=1)
    return Measure(statistics.reshape(len(right), -1), partial(_mean_recall, num_classes=num_classes))


def _mean_recall(sums: np.ndarray, *, num_classes: int) -> np.ndarray:
    """(...) mean of right over all, of the classes that are there, from (..., 2 C) sums."""
    pairs = sums.reshape(*sums.shape[:-1], num_classes, 2)
    there = pairs[..., 1] > 0
    recall = np.divide(pairs[..., 0], pairs[..., 1], out=np.zeros(there.shape), where=there)
    return np.asarray(recall.sum(axis=-1) / there.sum(axis=-1))


@METRICS.register_module()
class SceneClasses:
    """Several classes per image (BigEarthNet): `f1_sample` (mean over images), `f1_micro`, `f1_macro` (classes that are annotated), and
    `exact_match`. Answers and annotations may give letters or names; `candidates` lists the classes in the order of their letters.

    Args:
        reading: one of `reading_options.MODES`.
    """

    headline = "f1_sample"

    def __init__(self, *, reading: Mode = "lenient") -> None:
        if reading not in MODES:
            raise ConfigError(f"SceneClasses: reading must be one of {', '.join(MODES)}, found {reading!r}.")
        self._mode = reading

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        labels = [candidates_of(sample) for sample in samples]
        for sample, names in zip(samples, labels, strict=True):
            if sorted(names) != sorted(labels[0]):
                raise AnnotationError(
                    f"sample '{sample.sample_id}' is asked with other classes than '{samples[0].sample_id}'; F1 per class would mix them. "
                    "Score the sets apart."
                )
        pairs = list(zip(samples, labels, strict=True))
        said = [read_choice(sample.prediction or "", names, mode=self._mode, several=True) for sample, names in pairs]
        named = [self._ordered(read, names, order=labels[0]) for read, names in zip(said, labels, strict=True)]
        truths = [self._truth(sample, names, order=labels[0]) for sample, names in pairs]
        judged = self._measure(samples, named, truths=truths, labels=labels[0])
        return replace(judged, reasons=[read.reason if not read.indices else "" for read in said])

    def _measure(
        self,
        samples: Sequence[Prediction],
        named: Sequence[frozenset[int] | None],
        *,
        truths: Sequence[frozenset[int]],
        labels: Sequence[str],
    ) -> Judged:
        predicted, annotated = multilabel.label_matrix(named, len(labels)), multilabel.label_matrix(truths, len(labels))
        counts = multilabel.class_counts(predicted, annotated)
        flat, lost = counts.reshape(len(samples), -1), missing(samples)
        f1 = multilabel.sample_f1(predicted, annotated)
        recall = [multilabel.token_recall(sample.prediction or "", sample.ground_truth) for sample in samples]
        return Judged(
            samples=samples,
            measures={
                "f1_sample": mean_of(f1),
                "f1_micro": Measure(flat, partial(_folded, reduce=multilabel.micro_f1, num_classes=len(labels))),
                "f1_macro": Measure(flat, partial(_folded, reduce=multilabel.macro_f1, num_classes=len(labels))),
                "exact_match": mean_of((predicted == annotated).all(axis=1).astype(np.float64)),
            },
            num_missing=lost,
            num_unparsed=np.array([names is None for names in named], dtype=np.int64) - lost,
            quality=f1,
            compat={"token_recall": mean_of(recall)},
            details={
                "class_counts": {"labels": list(labels), "tp_fp_fn": counts.sum(axis=0).astype(int).tolist()},
                "reading": self._mode,
            },
        )

    def _ordered(self, read: ReadChoice, labels: Sequence[str], *, order: Sequence[str]) -> frozenset[int] | None:
        """Indices in `order` of the classes named, whose letters go by `labels`; None where none is."""
        return frozenset(order.index(labels[index]) for index in read.indices) or None

    def _truth(self, sample: Prediction, labels: Sequence[str], *, order: Sequence[str]) -> frozenset[int]:
        if "labels" in sample.meta:
            indices = self._listed(sample, order)
        else:
            indices = self._ordered(read_choice(sample.ground_truth, labels, several=True), labels, order=order)
        if indices is None:
            raise AnnotationError(
                f"sample '{sample.sample_id}': the annotated answer {sample.ground_truth!r:.80} names none of the {len(labels)} classes. "
                "Correct the annotation or the list of classes."
            )
        return indices

    def _listed(self, sample: Prediction, order: Sequence[str]) -> frozenset[int] | None:
        listed = sample.meta["labels"]
        if not isinstance(listed, list | tuple) or not all(label in order for label in listed):
            raise AnnotationError(
                f"sample '{sample.sample_id}': 'labels' in its meta must be classes among the {len(order)} candidates, found "
                f"{listed!r:.80}. Correct the annotation or the list of classes."
            )
        return frozenset(order.index(label) for label in listed) or None


def _folded(sums: np.ndarray, *, reduce: multilabel.Reduce, num_classes: int) -> np.ndarray:
    return reduce(sums.reshape(*sums.shape[:-1], num_classes, 3))
