"""Short answers and multiple choice."""

from collections.abc import Callable, Sequence

import numpy as np

from eocore.errors import AnnotationError, ConfigError
from eocore.evaluate.metrics import vqa
from eocore.evaluate.metrics.published_answers import match_as_lhrs
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.intervals import Measure, mean_of, mean_over_groups
from eocore.evaluate.scoring.parsing.choices import ReadChoice, read_choice
from eocore.evaluate.scoring.parsing.options import options_of
from eocore.evaluate.scoring.parsing.reading_options import MODES, Mode
from eocore.evaluate.scoring.scorers.base import Judged, candidates_of, missing
from eocore.registry import METRICS

MATCHES: dict[str, Callable[..., bool | None]] = {"equal": vqa.match_answer, "contained": vqa.contains_answer}
PUBLISHED: dict[str, tuple[str, Callable[[str, str], bool]]] = {
    "equal": ("accuracy_bare_equality", vqa.match_as_published),
    "contained": ("accuracy_substring", vqa.match_as_vrsbench),
}
COUNT_TYPE = "count"
LEFT_OUT_BY_LHRS = ("count", "area")
"""Types of questions that LHRS-Bot's main_vqa.py passes over."""


@METRICS.register_module()
class ShortAnswer:
    """Fraction of answers that are right.

    `accuracy` over all samples is the micro average; the mean over the question types is reported as `macro`. Where one of the types is
    "count", both are given again without it (RSVQA-LR: the convention for language models), and `count_bucket` is the fraction of counts in
    the right class of the set's own five. `reference_compat` has LHRS-Bot's figure where questions have types: without counts and areas, an
    answer right that is a part of the true one, even an empty answer.

    Args:
        match: "equal" (RSVQA: equal after normalisation, yes and no as `parse_yes_no` reads them) or "contained" (VRSBench).
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
            compat={name: mean_of(np.array(published, dtype=np.float64)), **_as_lhrs(samples)},
            subsets={f"without {COUNT_TYPE}": ~is_count} if is_count.any() and not is_count.all() else {},
            reasons=[vqa.why_unread(sample.ground_truth) if item is None else "" for sample, item in zip(samples, said, strict=True)],
        )

    def _judge_one(self, sample: Prediction) -> bool | None:
        if not vqa.normalise_answer(sample.ground_truth):
            raise AnnotationError(
                f"sample '{sample.sample_id}': the annotated answer is empty; no answer could be right. Correct the annotation."
            )
        return None if sample.prediction is None else self._match(sample.prediction, sample.ground_truth, question=sample.prompt)


def _as_lhrs(samples: Sequence[Prediction]) -> dict[str, Measure]:
    """LHRS-Bot's figure, over the questions that are neither of counts nor of areas; none without types, or where none is left."""
    asked = [sample.meta.get("type") not in LEFT_OUT_BY_LHRS for sample in samples]
    if not any(asked) or not any("type" in sample.meta for sample in samples):
        return {}
    right = [
        counted and sample.prediction is not None and match_as_lhrs(sample.prediction, sample.ground_truth)
        for sample, counted in zip(samples, asked, strict=True)
    ]
    return {"accuracy_evalai_substring": mean_of(np.array(right, dtype=np.float64), np.array(asked, dtype=np.float64))}


def _bucket_measure(samples: Sequence[Prediction], is_count: np.ndarray) -> Measure:
    truths = [vqa.count_bucket(sample.ground_truth) if counted else None for sample, counted in zip(samples, is_count, strict=True)]
    right = [
        truth is not None and vqa.count_bucket(sample.prediction or "", sample.prompt) == truth
        for sample, truth in zip(samples, truths, strict=True)
    ]
    return mean_of(np.array(right, dtype=np.float64), np.array([truth is not None for truth in truths], dtype=np.float64))


@METRICS.register_module()
class Choice:
    """Fraction of questions whose right option was chosen; `within_one`: of the questions with a number as answer, those missed by one at
    most, the annotators' tolerance. The mean over task types (`macro`) is the average EarthMind-Bench states.

    In `reference_compat` an answer is right where it is the annotated text to the letter: `accuracy_verbatim` over all samples, and
    `accuracy_verbatim_task_mean`, the unweighted mean over task types that EarthMind's second release states as its score, which leaves
    samples without a prediction out.

    An answer that names several options is none, unless the question allows several: its annotated answer has several, `several` of its
    meta is true, or this scorer's is. Then it is right where the set of options is the annotated one.

    Args:
        reading: one of `reading_options.MODES`.
        several: every question allows several options.
        index_base: where annotated answers are numbers that count options: the number of the first, 0 or 1. It is never guessed.
    """

    headline = "accuracy"

    def __init__(self, *, reading: Mode = "lenient", several: bool = False, index_base: int | None = None) -> None:
        if reading not in MODES:
            raise ConfigError(f"Choice: reading must be one of {', '.join(MODES)}, found {reading!r}.")
        if index_base not in (None, 0, 1):
            raise ConfigError(f"Choice: index_base must be 0 or 1, the number of the first option; found {index_base!r}.")
        self._mode, self._several, self._base = reading, several, index_base

    def judge(self, samples: Sequence[Prediction]) -> Judged:
        """See `Scorer`."""
        options = [candidates_of(sample) for sample in samples]
        truths = [self._truth(sample, texts) for sample, texts in zip(samples, options, strict=True)]
        chosen = [self._read(sample, texts, truth=truth) for sample, texts, truth in zip(samples, options, truths, strict=True)]
        triples = list(zip(chosen, truths, options, strict=True))
        right = np.array(
            [bool(read.indices) and _texts(read.indices, texts) == _texts(truth, texts) for read, truth, texts in triples], dtype=np.float64
        )
        lost = missing(samples)
        return Judged(
            samples=samples,
            measures={"accuracy": mean_of(right), **_within_one(triples)},
            num_missing=lost,
            num_unparsed=np.array([not read.indices for read in chosen], dtype=np.int64) * (1 - lost),
            quality=right,
            compat=_published_choices(samples, lost),
            details={"chance": float(np.mean([_chance(*item) for item in zip(truths, options, strict=True)])), "reading": self._mode},
            reasons=[read.reason for read in chosen],
        )

    def _read(self, sample: Prediction, candidates: Sequence[str], *, truth: frozenset[int]) -> ReadChoice:
        allowed = self._several or len(truth) > 1 or sample.meta.get("several") is True
        index = self._index(sample.prediction or "", candidates)
        if index is not None:
            return ReadChoice(frozenset([index]))
        read = read_choice(sample.prediction or "", candidates, mode=self._mode, several=allowed)
        return read if allowed or len(read.indices) < 2 else ReadChoice(reason=read.reason)

    def _index(self, text: str, candidates: Sequence[str]) -> int | None:
        number = vqa.whole_number(text)
        if self._base is None or number is None or not 0 <= number - self._base < len(candidates):
            return None
        return number - self._base

    def _truth(self, sample: Prediction, candidates: Sequence[str]) -> frozenset[int]:
        """The right options; as a rule one."""
        listed = sample.meta.get("answers")
        texts = [str(text) for text in listed] if isinstance(listed, list | tuple) and listed else [sample.ground_truth]
        return frozenset(index for text in texts for index in self._true_indices(text, sample, candidates=candidates))

    def _true_indices(self, text: str, sample: Prediction, *, candidates: Sequence[str]) -> frozenset[int]:
        if self._base is not None and vqa.whole_number(text) is not None:
            index = self._index(text, candidates)
            read = ReadChoice(frozenset() if index is None else frozenset([index]), "the number is none of an option")
        else:
            read = read_choice(text, candidates, several=True)
        if not read.indices:
            counted = vqa.whole_number(text) is not None and self._base is None
            raise AnnotationError(
                f"sample '{sample.sample_id}': the annotated answer {text!r} is none of the candidates {candidates} ({read.reason}); no "
                "answer could be right. "
                + ("If the number counts options, say which is the first: --index-base 0 or 1." if counted else "Correct the annotation.")
            )
        return read.indices


def _texts(indices: frozenset[int], candidates: Sequence[str]) -> set[str]:
    return {candidates[index] for index in indices}


def _chance(truth: frozenset[int], candidates: Sequence[str]) -> float:
    """Of one option guessed, or, where several are right, of one set of options."""
    return 1.0 / len(candidates) if len(truth) == 1 else 1.0 / (2 ** len(candidates) - 1)


def _published_choices(samples: Sequence[Prediction], lost: np.ndarray) -> dict[str, Measure]:
    """As EarthMind's evaluate_earthmindbench_mcq.py of the first release (pooled) and of the second (mean over the tasks, of what was
    answered) compute it: equality without strip or case."""
    right = np.array([sample.prediction == sample.ground_truth for sample in samples], dtype=np.float64)
    found = {"accuracy_verbatim": mean_of(right)}
    if all("type" in sample.meta for sample in samples):
        types = [str(sample.meta["type"]) for sample in samples]
        found["accuracy_verbatim_task_mean"] = mean_over_groups(right, 1.0 - lost, groups=types)
    return found


def _within_one(triples: Sequence[tuple[ReadChoice, frozenset[int], Sequence[str]]]) -> dict[str, Measure]:
    asked = [_number(truth, texts) for _, truth, texts in triples]
    said = [_number(read.indices, texts) for read, _, texts in triples]
    if all(number is None for number in asked):
        return {}
    near = [truth is not None and pick is not None and abs(truth - pick) <= 1 for truth, pick in zip(asked, said, strict=True)]
    return {"within_one": mean_of(np.array(near, dtype=np.float64), np.array([number is not None for number in asked], dtype=np.float64))}


def _number(indices: frozenset[int], candidates: Sequence[str]) -> int | None:
    texts = options_of(tuple(candidates)).texts
    return vqa.whole_number(texts[next(iter(indices))]) if len(indices) == 1 else None
