"""One sample judged by the rule of its task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eocore.errors import AnnotationError

from .metrics import classification, segmentation, vqa
from .predictions import Prediction

BOTH_EMPTY = 1.0
"""IoU of an empty mask with an empty truth: saying that a phrase has no target is right where it has none."""


@dataclass(frozen=True)
class SampleScore:
    """One sample judged: metric -> (numerator, denominator), to be summed; and how many items were asked for, missing, not readable."""

    sample: Prediction
    parts: Mapping[str, tuple[float, float]]
    num_items: int = 1
    num_missing: int = 0
    num_unparsed: int = 0
    num_extra: int = 0
    overlaps: tuple[segmentation.MaskOverlap, ...] = ()


def judge_sample(sample: Prediction) -> SampleScore:
    """The sample judged by its task's rule.

    Raises:
        AnnotationError: the annotation lacks what the task is scored by.
        DataError: masks differ in size.
    """
    if sample.task == "referring":
        return _score_masks(sample)
    right = _RULES[sample.task](sample, sample.prediction or "")
    missing = sample.prediction is None
    return SampleScore(sample, {"accuracy": (float(bool(right)), 1.0)}, num_missing=missing, num_unparsed=right is None and not missing)


def _score_masks(sample: Prediction) -> SampleScore:
    overlaps = segmentation.overlaps_of(
        sample.prediction_masks, sample.ground_truth_masks, answered=sample.prediction is not None, source=f"sample '{sample.sample_id}'"
    )
    return SampleScore(
        sample,
        segmentation.mask_scores(overlaps, both_empty=BOTH_EMPTY),
        num_items=len(overlaps),
        num_missing=sum(overlap.missing for overlap in overlaps),
        num_extra=max(0, len(sample.prediction_masks) - len(sample.ground_truth_masks)),
        overlaps=tuple(overlaps),
    )


def _chose_right(sample: Prediction, answer: str) -> bool | None:
    candidates = candidates_of(sample)
    truth = vqa.parse_choice(sample.ground_truth, candidates)
    if truth is None:
        raise AnnotationError(
            f"sample '{sample.sample_id}': the annotated answer {sample.ground_truth!r} is none of the candidates {candidates}; no answer "
            "could be right. Correct the annotation."
        )
    choice = vqa.parse_choice(answer, candidates)
    return None if choice is None else candidates[choice] == candidates[truth]


def _answered_right(sample: Prediction, answer: str) -> bool | None:
    if not vqa.normalise_answer(sample.ground_truth):
        raise AnnotationError(
            f"sample '{sample.sample_id}': the annotated answer is empty; no answer could be right. Correct the annotation."
        )
    return vqa.match_answer(answer, sample.ground_truth)


def _named_right(sample: Prediction, answer: str) -> bool | None:
    label = classification.parse_label(answer, candidates_of(sample))
    return None if label is None else classification.normalise_label(label) == classification.normalise_label(sample.ground_truth)


def candidates_of(sample: Prediction) -> list[str]:
    """The options (multiple choice) or classes (classification) a sample was asked with.

    Raises:
        AnnotationError: its meta does not give them.
    """
    candidates = sample.meta.get("candidates")
    if not isinstance(candidates, list | tuple) or not candidates or not all(isinstance(item, str) for item in candidates):
        raise AnnotationError(
            f"sample '{sample.sample_id}' ({sample.task}): 'candidates' in its meta must be a list of strings, found {candidates!r}. "
            "It cannot be scored; give the options it was asked with."
        )
    return list(candidates)


_RULES: dict[str, Callable[[Prediction, str], bool | None]] = {
    "mcq": _chose_right,
    "vqa": _answered_right,
    "classification": _named_right,
}
