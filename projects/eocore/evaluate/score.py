"""Scores of a predictions file: per setting, task, question type and cloud, with counts and intervals. Needs no model."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

from eocore.errors import DataError
from eocore.log import get_logger

from .intervals import Value, as_value, quotient, resample
from .judge import BOTH_EMPTY, SampleScore, candidates_of, judge_sample
from .metrics import classification, segmentation
from .predictions import SETTINGS, TASKS, Prediction, complete, read_predictions

HEADLINES = {"vqa": "accuracy", "mcq": "accuracy", "classification": "accuracy", "referring": "miou"}
"""The one metric a task is known by; tasks that are not here have no score yet."""

CLOUD_GROUPS = {False: "clear", True: "cloudy"}


class Group(TypedDict):
    """Scores of some samples. `n`: what was asked for (answers, or masks); the other counts are part of it, but for `n_extra`."""

    n: int
    n_missing: int
    n_unparsed: int
    n_extra: int
    metrics: dict[str, Value]


class TaskScores(TypedDict):
    """All scores of one task under one setting.

    `macro`: mean over the types of the headline metric, where there are types. `chance`: what guessing among the candidates gives.
    `reference_compat`: figures as the published evaluation computes them; never to be shown in one column with the others.
    """

    headline: str
    overall: Group
    macro: NotRequired[Value]
    by_type: dict[str, Group]
    by_cloud: dict[str, Group]
    chance: NotRequired[float]
    reference_compat: NotRequired[dict[str, float | None]]
    balanced_accuracy: NotRequired[float]
    confusion: NotRequired[dict[str, Any]]


class Difference(TypedDict):
    """How much more the headline metric is under one setting than under another, on the same samples, paired."""

    task: str
    setting: str
    against: str
    group: str
    n: int
    difference: Value


class Scores(TypedDict):
    """What `score_file` returns; plain JSON. `settings`: setting -> task -> scores. `unscored`: setting -> task -> number of samples."""

    predictions: NotRequired[dict[str, Any]]
    settings: dict[str, dict[str, TaskScores]]
    differences: list[Difference]
    unscored: dict[str, dict[str, int]]


def score_file(path: Path, expected: Iterable[Prediction], *, seed: int = 0) -> Scores:
    """Scores of a predictions file against the full list of annotated samples; what was not predicted counts as wrong.

    Args:
        path: predictions file.
        expected: every sample the data set asks for, under every setting asked for, with `prediction` None.
        seed: of the bootstrap.

    Raises:
        DataError: the file breaks its format, holds samples that were not expected, or was made from other annotations.
    """
    samples = complete(read_predictions(path), expected, source=str(path))
    scores = score_predictions(samples, seed=seed)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    scores["predictions"] = {"path": str(path), "sha256": digest, "num_samples": len(samples)}
    return scores


def score_predictions(samples: Sequence[Prediction], *, seed: int = 0) -> Scores:
    """Scores of a complete list of samples.

    Args:
        samples: with `prediction` None where there is none.
        seed: of the bootstrap.

    Raises:
        DataError: there are no samples, or masks of one sample differ in size.
        AnnotationError: the annotation lacks what its task is scored by.
    """
    if not samples:
        raise DataError("no samples to score: the data set or the predictions file is empty. Check the annotation path and the limit.")
    judged: dict[tuple[str, str], list[SampleScore]] = defaultdict(list)
    unscored: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for sample in samples:
        if sample.task in HEADLINES:
            judged[sample.sensor, sample.task].append(judge_sample(sample))
        else:
            unscored[sample.sensor][sample.task] += 1
    settings: dict[str, dict[str, TaskScores]] = {}
    for setting in SETTINGS:
        tasks = {task: _score_task(judged[setting, task], task=task, seed=seed) for task in TASKS if (setting, task) in judged}
        if tasks:
            settings[setting] = tasks
    plain = {setting: dict(counts) for setting, counts in unscored.items()}
    return Scores(settings=settings, differences=_differences(judged, seed=seed), unscored=plain)


def _score_task(scores: Sequence[SampleScore], *, task: str, seed: int) -> TaskScores:
    types, clouds = _by_type(scores), _by_cloud(scores)
    result = TaskScores(
        headline=HEADLINES[task],
        overall=_group(scores, seed=seed),
        by_type={name: _group(part, seed=seed) for name, part in types.items()},
        by_cloud={name: _group(part, seed=seed) for name, part in clouds.items()},
    )
    if types:
        result["macro"] = _macro(types, headline=HEADLINES[task], seed=seed)
    if task == "mcq":
        result["chance"] = float(np.mean([1.0 / len(candidates_of(score.sample)) for score in scores]))
    elif task == "referring":
        result["reference_compat"] = segmentation.reference_compat([overlap for score in scores for overlap in score.overlaps])
    elif task == "classification":
        result["confusion"], result["balanced_accuracy"] = _confusion([score.sample for score in scores])
    return result


def _by_type(scores: Sequence[SampleScore]) -> dict[str, list[SampleScore]]:
    if not any("type" in score.sample.meta for score in scores):
        return {}
    groups: dict[str, list[SampleScore]] = defaultdict(list)
    for score in scores:
        groups[str(score.sample.meta.get("type", "untyped"))].append(score)
    return dict(sorted(groups.items()))


def _by_cloud(scores: Sequence[SampleScore]) -> dict[str, list[SampleScore]]:
    groups = {name: [score for score in scores if score.sample.meta.get("cloudy") is flag] for flag, name in CLOUD_GROUPS.items()}
    return {name: group for name, group in groups.items() if group}


def _group(scores: Sequence[SampleScore], *, seed: int) -> Group:
    return Group(
        n=sum(score.num_items for score in scores),
        n_missing=sum(score.num_missing for score in scores),
        n_unparsed=sum(score.num_unparsed for score in scores),
        n_extra=sum(score.num_extra for score in scores),
        metrics={metric: _value(scores, metric, seed=seed) for metric in scores[0].parts},
    )


def _value(scores: Sequence[SampleScore], metric: str, *, seed: int) -> Value:
    parts, clusters = _parts(scores, metric), _clusters(scores)
    value = float(quotient(parts.sum(axis=0), if_empty=BOTH_EMPTY))
    return as_value(value, resample(parts, clusters, if_empty=BOTH_EMPTY, seed=seed), num_clusters=len(set(clusters)))


def _parts(scores: Sequence[SampleScore], metric: str) -> np.ndarray:
    return np.array([score.parts[metric] for score in scores], dtype=np.float64)


def _clusters(scores: Sequence[SampleScore]) -> list[str]:
    return [score.sample.image_ids[0] if score.sample.image_ids else score.sample.sample_id for score in scores]


def _macro(types: Mapping[str, Sequence[SampleScore]], *, headline: str, seed: int) -> Value:
    values = [_value(group, headline, seed=seed)["value"] for group in types.values()]
    replicates = [
        resample(_parts(group, headline), _clusters(group), if_empty=BOTH_EMPTY, seed=seed + place)
        for place, group in enumerate(types.values())
    ]
    fewest = min(len(set(_clusters(group))) for group in types.values())
    return as_value(float(np.mean(values)), np.mean(replicates, axis=0), num_clusters=fewest)


def _confusion(samples: Sequence[Prediction]) -> tuple[dict[str, Any], float]:
    labels = candidates_of(samples[0])
    forms = {classification.normalise_label(label): label for label in labels}
    truths = [forms.get(classification.normalise_label(sample.ground_truth), sample.ground_truth) for sample in samples]
    named = [None if sample.prediction is None else classification.parse_label(sample.prediction, labels) for sample in samples]
    counts = classification.confusion_matrix(truths, named, labels=labels)
    return {"labels": labels, "counts": counts.tolist()}, classification.balanced_accuracy(counts)


def _differences(judged: Mapping[tuple[str, str], list[SampleScore]], *, seed: int) -> list[Difference]:
    differences = []
    for task in HEADLINES:
        for other in (setting for setting in SETTINGS if setting != "fused"):
            if ("fused", task) in judged and (other, task) in judged:
                differences += _compare(judged["fused", task], judged[other, task], seed=seed)
    return differences


def _compare(fused: Sequence[SampleScore], other: Sequence[SampleScore], *, seed: int) -> list[Difference]:
    by_id = {score.sample.sample_id: score for score in other}
    task, against = fused[0].sample.task, other[0].sample.sensor
    if set(by_id) != {score.sample.sample_id for score in fused}:
        get_logger().warning("%s: 'fused' and '%s' were not asked the same samples; their difference is not reported.", task, against)
        return []
    differences = []
    for group, part in {"all": list(fused), **_by_cloud(fused)}.items():
        paired = [by_id[score.sample.sample_id] for score in part]
        parts = [_parts(scores, HEADLINES[task]) for scores in (part, paired)]
        values = [float(quotient(sums.sum(axis=0), if_empty=BOTH_EMPTY)) for sums in parts]
        clusters = _clusters(part)
        drawn = [resample(sums, clusters, if_empty=BOTH_EMPTY, seed=seed) for sums in parts]
        value = as_value(values[0] - values[1], drawn[0] - drawn[1], num_clusters=len(set(clusters)))
        differences.append(Difference(task=task, setting="fused", against=against, group=group, n=len(part), difference=value))
    return differences
