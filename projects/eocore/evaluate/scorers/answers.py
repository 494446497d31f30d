"""Short answers and multiple choice."""

from collections.abc import Callable, Sequence

import numpy as np

from eocore.errors import AnnotationError, ConfigError
from eocore.registry import METRICS

from ..intervals import Measure, mean_of
from ..metrics import vqa
from ..predictions import Prediction
from .base import Judged, candidates_of, missing

MATCHES: dict[str, Callable[[str, str], bool | None]] = {"equal": vqa.match_answer, "contained": vqa.contains_answer}
PUBLISHED: dict[str, tuple[str, Callable[[str, str], bool]]] = {
    "equal": ("accuracy_bare_equality", vqa.match_as_published),
    "contained": ("accuracy_substring", vqa.match_as_vrsbench),
}
COUNT_TYPE = "count"


@METRICS.register_module()
class ShortAnswer:
    """Share of answers that are right.

    `accuracy` over all samples is the micro average; the mean over the question types is reported as `macro`. Where one of the types is
    "count", both are given again without it (RSVQA-LR: the convention for language models), and `count_bucket` is the share of counts in
    the right class of the set's own five.

    Args:
        match: "equal" (RSVQA: equal after normalisation, yes and no by the first word) or "contained" (VRSBench).
    """

    headline = "accuracy"

    def __init__(self, *, match: str = "equal") -> None:
        if match not in MATCHES:
            raise ConfigError(f"ShortAnswer: match must be one of {', '.join(MATCHES)}, found {match!r}.")
        self._match, self._published = MATCHES[match], PUBLISHED[match]

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        said = [self._judge_one(sample) for sample in samples]
        right, lost = np.array([bool(item) for item in said], dtype=np.float64), missing(samples)
        name, rule = self._published
        published = [sample.prediction is not None and rule(sample.prediction, sample.ground_truth) for sample in samples]
        is_count = np.array([sample.meta.get("type") == COUNT_TYPE for sample in samples])
        measures = {"accuracy": mean_of(right)}
        if is_count.any():
            measures["count_bucket"] = _bucket_measure(samples, is_count)
        return Judged(
            samples=samples,
            measures=measures,
            num_missing=lost,
            num_unparsed=np.array([item is None for item in said], dtype=np.int64) - lost,
            quality=right,
            compat={name: mean_of(np.array(published, dtype=np.float64))},
            subsets={f"without {COUNT_TYPE}": ~is_count} if is_count.any() and not is_count.all() else {},
        )

    def _judge_one(self, sample: Prediction) -> bool | None:
        if not vqa.normalise_answer(sample.ground_truth):
            raise AnnotationError(
                f"sample '{sample.sample_id}': the annotated answer is empty; no answer could be right. Correct the annotation."
            )
        return None if sample.prediction is None else self._match(sample.prediction, sample.ground_truth)


def _bucket_measure(samples: Sequence[Prediction], is_count: np.ndarray) -> Measure:
    truths = [vqa.count_bucket(sample.ground_truth) if counted else None for sample, counted in zip(samples, is_count, strict=True)]
    right = [
        truth is not None and vqa.count_bucket(sample.prediction or "") == truth for sample, truth in zip(samples, truths, strict=True)
    ]
    return mean_of(np.array(right, dtype=np.float64), np.array([truth is not None for truth in truths], dtype=np.float64))


@METRICS.register_module()
class Choice:
    """Share of questions whose right option was chosen; `within_one`: of the questions with a number as answer, those missed by one at
    most, the annotators' tolerance. The mean over task types (`macro`) is the average EarthMind-Bench states."""

    headline = "accuracy"

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        options = [candidates_of(sample) for sample in samples]
        truths = [_true_choice(sample, texts) for sample, texts in zip(samples, options, strict=True)]
        chosen = [vqa.parse_choice(sample.prediction or "", texts) for sample, texts in zip(samples, options, strict=True)]
        right = np.array(
            [pick is not None and texts[pick] == texts[truth] for pick, truth, texts in zip(chosen, truths, options, strict=True)],
            dtype=np.float64,
        )
        lost = missing(samples)
        measures = {"accuracy": mean_of(right)}
        measures.update(_within_one(options, truths, chosen))
        published = [sample.prediction == sample.ground_truth for sample in samples]
        return Judged(
            samples=samples,
            measures=measures,
            num_missing=lost,
            num_unparsed=np.array([pick is None for pick in chosen], dtype=np.int64) - lost,
            quality=right,
            compat={"accuracy_verbatim": mean_of(np.array(published, dtype=np.float64))},
            details={"chance": float(np.mean([1.0 / len(texts) for texts in options]))},
        )


def _true_choice(sample: Prediction, candidates: Sequence[str]) -> int:
    truth = vqa.parse_choice(sample.ground_truth, candidates)
    if truth is None:
        raise AnnotationError(
            f"sample '{sample.sample_id}': the annotated answer {sample.ground_truth!r} is none of the candidates {candidates}; no answer "
            "could be right. Correct the annotation."
        )
    return truth


def _within_one(options: Sequence[Sequence[str]], truths: Sequence[int], chosen: Sequence[int | None]) -> dict[str, Measure]:
    asked = [vqa.whole_number(texts[truth]) for texts, truth in zip(options, truths, strict=True)]
    said = [None if pick is None else vqa.whole_number(texts[pick]) for texts, pick in zip(options, chosen, strict=True)]
    if all(number is None for number in asked):
        return {}
    near = [truth is not None and pick is not None and abs(truth - pick) <= 1 for truth, pick in zip(asked, said, strict=True)]
    return {"within_one": mean_of(np.array(near, dtype=np.float64), np.array([number is not None for number in asked], dtype=np.float64))}
