"""Scores by a language model as judge, laid beside the offline ones."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from .intervals import mean_of
from .judge import LOWEST, PROMPTS, Judge, Question, Verdict
from .predictions import Prediction
from .score import Scores, score_task
from .scorers.base import Judged, missing, references_of

JUDGED_TASKS = ("open", "caption", "region")
HEADLINE = "judge_score"


def add_verdicts(scores: Scores, samples: Sequence[Prediction], judge: Judge, *, seed: int = 0) -> int:
    """Adds `judge` to the scores of every open task: who judged, when, with what prompt, and the mean of accuracy, relevance and both.

    The mean over types (`macro`) is the open-ended average EarthMind-Bench states. A sample without an answer gets the lowest value
    unasked; one the judge failed on is left out of the means and counted (`n_failed`).

    Args:
        scores: of these samples; changed in place.
        samples: all of them; tasks other than JUDGED_TASKS are passed over.
        judge: asks the endpoint.
        seed: of the bootstrap.

    Returns:
        Number of answers judged or failed; 0 where no task is open.

    Raises:
        ConfigError: the endpoint refuses (key, model or address).
    """
    groups: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for sample in samples:
        if sample.task in JUDGED_TASKS:
            groups[sample.sensor, sample.task].append(sample)
    for (setting, task), group in groups.items():
        scores["settings"][setting][task]["judge"] = _judge_group(group, judge, seed=seed)
    return sum(map(len, groups.values()))


def _judge_group(samples: Sequence[Prediction], judge: Judge, *, seed: int) -> dict[str, Any]:
    asked = [place for place, sample in enumerate(samples) if (sample.prediction or "").strip()]
    verdicts: list[Verdict | None] = [Verdict(LOWEST, LOWEST)] * len(samples)
    questions = [_question(samples[place]) for place in asked]
    for place, verdict in zip(asked, judge.judge(questions), strict=True):
        verdicts[place] = verdict
    failed = np.array([verdict is None for verdict in verdicts])
    prompt = judge.options.prompt
    result: dict[str, Any] = {
        "model": judge.options.model,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "prompt": prompt,
        "prompt_sha256": hashlib.sha256(PROMPTS[prompt].encode()).hexdigest(),
        "scale": "1 to 5",
        "n": len(samples),
        "n_unanswered": len(samples) - len(asked),
        "n_failed": int(failed.sum()),
    }
    if not failed.all():
        result["scores"] = score_task(_as_judged(samples, verdicts, failed), HEADLINE, seed=seed)
    return result


def _question(sample: Prediction) -> Question:
    return Question(sample.prompt, "\n".join(references_of(sample)), sample.prediction or "")


def _as_judged(samples: Sequence[Prediction], verdicts: Sequence[Verdict | None], failed: np.ndarray) -> Judged:
    known = (~failed).astype(np.float64)

    def mean(name: str) -> Any:
        return mean_of([float(getattr(verdict, name)) if verdict else 0.0 for verdict in verdicts], known)

    return Judged(
        samples=samples,
        measures={HEADLINE: mean("score"), "judge_accuracy": mean("accuracy"), "judge_relevance": mean("relevance")},
        num_missing=missing(samples),
        num_unparsed=failed.astype(np.int64),
        quality=np.array([verdict.score if verdict else np.nan for verdict in verdicts]),
    )
