"""Scores by a language model as judge, laid beside the offline ones."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from eocore.evaluate.judge.judge import Judge, Question
from eocore.evaluate.judge.prompts import JudgeScore
from eocore.evaluate.metrics import vqa
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.intervals import mean_of
from eocore.evaluate.scoring.score import score_task
from eocore.evaluate.scoring.scorers.base import Judged, missing, references_of
from eocore.evaluate.scoring.scores import Scores

HEADLINE = "judge_score"


def add_judge_scores(scores: Scores, samples: Sequence[Prediction], *, judge: Judge, seed: int = 0) -> int:
    """Adds `judge` to the scores of every task the judge's prompt is meant for: who judged, when, how, and the mean of accuracy, relevance
    and both.

    The mean over types (`macro`) is the open-ended average EarthMind-Bench states. A sample without an answer gets the lowest value
    unasked; one the judge failed on is left out of the means and counted (`n_failed`). With the prompt "match" only short answers are
    asked about that the rules cannot decide: what they find right is right, and yes, no and numbers are theirs alone.

    Args:
        scores: of these samples; changed in place.
        samples: all of them; tasks the judge's prompt is not meant for are passed over.
        judge: asks the endpoint.
        seed: of the bootstrap.

    Returns:
        Number of answers judged or failed; 0 where there is no such task.

    Raises:
        ConfigError: the endpoint refuses (key, model or address).
    """
    groups: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for sample in samples:
        if sample.task in judge.prompt.tasks:
            groups[sample.sensor, sample.task].append(sample)
    for (setting, task), group in groups.items():
        scores["settings"][setting][task]["judge"] = _judge_group(group, judge, seed=seed)
    return sum(map(len, groups.values()))


def _judge_group(samples: Sequence[Prediction], judge: Judge, *, seed: int) -> dict[str, Any]:
    known = [_without_asking(sample, judge) for sample in samples]
    asked = [index for index, score in enumerate(known) if score is None]
    given = list(known)
    for index, score in zip(asked, judge.judge([_question(samples[index]) for index in asked]), strict=True):
        given[index] = score
    failed = np.array([score is None for score in given])
    result: dict[str, Any] = {
        "model": judge.options.model,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "prompt": judge.options.prompt,
        "prompt_sha256": hashlib.sha256(judge.prompt.template.encode()).hexdigest(),
        "scale": f"{judge.prompt.lowest} to {judge.prompt.highest}",
        "n": len(samples),
        "n_asked": len(asked),
        "n_unanswered": sum(_is_unanswered(sample) for sample in samples),
        "n_failed": int(failed.sum()),
    }
    if not failed.all():
        result["scores"] = score_task(_as_judged(samples, given, failed=failed), HEADLINE, seed=seed)
    return result


def _is_unanswered(sample: Prediction) -> bool:
    return not (sample.prediction or "").strip()


def _without_asking(sample: Prediction, judge: Judge) -> JudgeScore | None:
    """The judge score that needs no judge, None where it does."""
    lowest, highest = judge.prompt.lowest, judge.prompt.highest
    if _is_unanswered(sample):
        return JudgeScore(lowest, lowest)
    if sample.task != "vqa":
        return None
    if vqa.contains_answer(sample.prediction or "", sample.ground_truth, question=sample.prompt):
        return JudgeScore(highest, highest)
    return JudgeScore(lowest, lowest) if vqa.is_decided(sample.ground_truth) else None


def _question(sample: Prediction) -> Question:
    return Question(sample.prompt, "\n".join(references_of(sample)), sample.prediction or "")


def _as_judged(samples: Sequence[Prediction], given: Sequence[JudgeScore | None], *, failed: np.ndarray) -> Judged:
    known = (~failed).astype(np.float64)

    def mean(name: str) -> Any:
        return mean_of([float(getattr(score, name)) if score else 0.0 for score in given], known)

    return Judged(
        samples=samples,
        measures={HEADLINE: mean("score"), "judge_accuracy": mean("accuracy"), "judge_relevance": mean("relevance")},
        num_missing=missing(samples),
        num_unparsed=failed.astype(np.int64),
        quality=np.array([score.score if score else np.nan for score in given]),
    )
