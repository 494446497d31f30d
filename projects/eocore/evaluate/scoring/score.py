"""Scores of a predictions file: per setting, task, question type and cloud, with counts and intervals. Needs no model."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eocore.errors import DataError
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring import scorers as _scorers  # noqa: F401  (registers them)
from eocore.evaluate.scoring.intervals import Measure, Value, as_value, resample
from eocore.evaluate.scoring.scorers.base import Judged, Scorer
from eocore.evaluate.scoring.scores import SET, Difference, Group, Scores, Subset, TaskScores, Unparsed, Unread
from eocore.evaluate.settings import FUSED, SETTINGS
from eocore.evaluate.tasks import TASKS, scorer_of
from eocore.log import get_logger
from eocore.registry import METRICS

CLOUD_GROUPS = {False: "clear", True: "cloudy"}
GROUP_FIELDS = (SET, "unique", "size_group")
"""Fields of `meta`, besides `type` and `cloudy`, whose values get scores of their own. Source: VRSBench (unique), GeoChat (size_group)."""


def score_predictions(samples: Sequence[Prediction], *, metrics: Mapping[str, Mapping[str, Any]] | None = None, seed: int = 0) -> Scores:
    """Scores of a complete list of samples.

    Args:
        samples: with `prediction` None where there is none.
        metrics: task -> entry of METRICS, where it is to be another than the task's own.
        seed: of the bootstrap.

    Raises:
        ConfigError: `metrics` names no scorer, or an option it does not have.
        DataError: there are no samples, or masks of one sample differ in size.
        AnnotationError: the annotation lacks what its task is scored by.
    """
    judged, unscored = judge_samples(samples, metrics=metrics)
    settings: dict[str, dict[str, TaskScores]] = {}
    for setting in SETTINGS:
        tasks = {task: score_task(*judged[setting, task], seed=seed) for task in TASKS if (setting, task) in judged}
        if tasks:
            settings[setting] = tasks
    return Scores(settings=settings, differences=_differences(judged, seed=seed), unscored=unscored)


JudgedTasks = dict[tuple[str, str], tuple[Judged, str]]


def judge_samples(
    samples: Sequence[Prediction], *, metrics: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[JudgedTasks, dict[str, dict[str, int]]]:
    """((setting, task) -> samples judged and name of the headline measure, setting -> task -> number of samples without a scorer).

    Arguments and errors are those of `score_predictions`.
    """
    if not samples:
        raise DataError("no samples to score: the data set or the predictions file is empty. Check the annotation path and the limit.")
    groups: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
    for sample in samples:
        groups[sample.sensor, sample.task].append(sample)
    judged: JudgedTasks = {}
    unscored: dict[str, dict[str, int]] = defaultdict(dict)
    for (setting, task), group in groups.items():
        config = (metrics or {}).get(task) or scorer_of(task, by_vectors=any(sample.vectors for sample in group))
        if config:
            scorer: Scorer = METRICS.build(config)
            judged[setting, task] = (scorer.judge(group), scorer.headline)
        else:
            unscored[setting][task] = len(group)
    return judged, dict(unscored)


def score_task(judged: Judged, headline: str, *, seed: int) -> TaskScores:
    """All scores of the samples of one task under one setting."""
    everyone = np.arange(len(judged.samples))
    types, clouds = rows_by(judged, "type"), _by_cloud(judged)
    result = TaskScores(
        headline=headline,
        overall=_group(judged, everyone, seed=seed),
        by_type={name: _group(judged, rows, seed=seed) for name, rows in types.items()},
        by_cloud={name: _group(judged, rows, seed=seed) for name, rows in clouds.items()},
        by_group={
            field: {name: _group(judged, rows, seed=seed) for name, rows in rows_by(judged, field).items()} for field in GROUP_FIELDS
        },
        subsets={name: _subset(judged, np.flatnonzero(mask), headline=headline, seed=seed) for name, mask in judged.subsets.items()},
        reference_compat=_values(judged, judged.compat, rows=everyone, seed=seed),
        details={name: value for name, value in judged.details.items() if name not in ("chance", "confusion")},
    )
    result["by_group"] = {field: groups for field, groups in result["by_group"].items() if groups}
    if types and all(np.isfinite(judged.measures[headline].of(rows)) for rows in types.values()):
        result["macro"] = _macro(judged, types, headline=headline, seed=seed)
    if "chance" in judged.details:
        result["chance"] = judged.details["chance"]
    if "confusion" in judged.details:
        result["confusion"] = judged.details["confusion"]
    if judged.num_unparsed.any():
        result["unparsed"] = _unparsed(judged)
    if judged.notes:
        result["notes"] = list(judged.notes)
    return result


NUM_EXAMPLES, MAX_EXAMPLE = 5, 160
"""Predictions that cannot be read which are shown, and characters of each."""


def _unparsed(judged: Judged) -> Unparsed:
    """How many predictions cannot be read, by reason, and the first of each reason, then further ones."""
    reasons = list(judged.reasons) or [""] * len(judged.samples)
    unread = [
        Unread(sample_id=sample.sample_id, prediction=_cut(sample.prediction or ""), ground_truth=_cut(sample.ground_truth), reason=reason)
        for sample, reason, lost in zip(judged.samples, reasons, judged.num_unparsed, strict=True)
        if lost
    ]
    first: dict[str, Unread] = {}
    for item in unread:
        first.setdefault(item["reason"], item)
    examples = [*first.values(), *(item for item in unread if item is not first[item["reason"]])][:NUM_EXAMPLES]
    return Unparsed(reasons=dict(Counter(item["reason"] or "unreadable" for item in unread).most_common()), examples=examples)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_EXAMPLE else f"{text[:MAX_EXAMPLE]} ... ({len(text)} characters)"


def _subset(judged: Judged, rows: np.ndarray, *, headline: str, seed: int) -> Subset:
    result = Subset(overall=_group(judged, rows, seed=seed))
    wanted = set(rows.tolist())
    types = {name: part for name, part in rows_by(judged, "type").items() if wanted.issuperset(part.tolist())}
    if types:
        result["macro"] = _macro(judged, types, headline=headline, seed=seed)
    return result


def rows_by(judged: Judged, field: str) -> dict[str, np.ndarray]:
    """Value of a field of meta -> indices of the samples that have it; empty where no sample has the field."""
    if not any(field in sample.meta for sample in judged.samples):
        return {}
    groups: dict[str, list[int]] = defaultdict(list)
    for index, sample in enumerate(judged.samples):
        groups[str(sample.meta.get(field, "untyped"))].append(index)
    return {name: np.array(groups[name]) for name in sorted(groups)}


def _by_cloud(judged: Judged) -> dict[str, np.ndarray]:
    groups = {
        name: np.array([index for index, sample in enumerate(judged.samples) if sample.meta.get("cloudy") is flag])
        for flag, name in CLOUD_GROUPS.items()
    }
    return {name: rows for name, rows in groups.items() if rows.size}


def _group(judged: Judged, rows: np.ndarray, *, seed: int) -> Group:
    return Group(
        n=int(judged.num_items[rows].sum()),
        n_missing=int(judged.num_missing[rows].sum()),
        n_unparsed=int(judged.num_unparsed[rows].sum()),
        n_extra=int(judged.num_extra[rows].sum()),
        metrics=_values(judged, judged.measures, rows=rows, seed=seed),
    )


def _values(judged: Judged, measures: Mapping[str, Measure], *, rows: np.ndarray, seed: int) -> dict[str, Value]:
    """Every measure that has something to score in these samples, with its interval; all from the same drawn sets."""
    found = {name: (measure, measure.of(rows)) for name, measure in measures.items()}
    found = {name: pair for name, pair in found.items() if np.isfinite(pair[1])}
    if not found:
        return {}
    clusters = clusters_of(judged, rows)
    sums = resample(np.concatenate([measure.statistics[rows] for measure, _ in found.values()], axis=1), clusters, seed=seed)
    ends = np.cumsum([measure.statistics.shape[1] for measure, _ in found.values()])
    parts = np.split(sums, ends[:-1], axis=1)
    num = len(set(clusters))
    return {
        name: as_value(value, measure.reduce(part), num_clusters=num)
        for (name, (measure, value)), part in zip(found.items(), parts, strict=True)
    }


def clusters_of(judged: Judged, rows: np.ndarray) -> list[str]:
    """The image of each sample, which is drawn as a whole; its own id where it names no image."""
    samples = [judged.samples[row] for row in rows]
    return [sample.image_ids[0] if sample.image_ids else sample.sample_id for sample in samples]


def _macro(judged: Judged, types: Mapping[str, np.ndarray], *, headline: str, seed: int) -> Value:
    measure = judged.measures[headline]
    values, replicates, numbers = [], [], []
    for index, rows in enumerate(types.values()):
        clusters = clusters_of(judged, rows)
        values.append(measure.of(rows))
        replicates.append(measure.reduce(resample(measure.statistics[rows], clusters, seed=seed + index)))
        numbers.append(len(set(clusters)))
    return as_value(float(np.mean(values)), np.mean(replicates, axis=0), num_clusters=min(numbers))


def _differences(judged: JudgedTasks, *, seed: int) -> list[Difference]:
    differences = []
    for task in TASKS:
        for other in (setting for setting in SETTINGS if setting != FUSED):
            if (FUSED, task) in judged and (other, task) in judged:
                fused, headline = judged[FUSED, task]
                differences += _compare(fused, judged[other, task][0], headline=headline, seed=seed)
    return differences


def _compare(fused: Judged, other: Judged, *, headline: str, seed: int) -> list[Difference]:
    """Paired differences over the samples that both settings were asked: of all, of clear and cloudy ones, and of each data set."""
    index_of = {sample.sample_id: index for index, sample in enumerate(other.samples)}
    task, against = fused.samples[0].task, other.samples[0].sensor
    order = np.array([index_of.get(sample.sample_id, -1) for sample in fused.samples])
    common = np.flatnonzero(order >= 0)
    if not common.size:
        get_logger().warning("%s: 'fused' and '%s' were asked no common sample; there is no difference to report.", task, against)
        return []
    groups = {"all": common, **_by_cloud(fused), **{f"data set {name}": rows for name, rows in rows_by(fused, SET).items()}}
    differences = []
    for group, rows in groups.items():
        rows = np.intersect1d(rows, common)
        if not rows.size:
            continue
        pair = (fused.measures[headline], rows), (other.measures[headline], order[rows])
        value = paired_difference(*pair, clusters=clusters_of(fused, rows), seed=seed)
        differences.append(Difference(task=task, setting=FUSED, against=against, group=group, n=len(rows), difference=value))
    return differences


def paired_difference(
    first: tuple[Measure, np.ndarray], second: tuple[Measure, np.ndarray], *, clusters: Sequence[str], seed: int
) -> Value:
    """How much more the first is than the second, with the interval over sets drawn alike for both.

    Args:
        first: measure and the indices of its samples.
        second: the same samples, in the same order, in another prediction.
        clusters: name of the image of each.
        seed: of the bootstrap.
    """
    value = first[0].of(first[1]) - second[0].of(second[1])
    drawn = [measure.reduce(resample(measure.statistics[rows], clusters, seed=seed)) for measure, rows in (first, second)]
    return as_value(value, drawn[0] - drawn[1], num_clusters=len(set(clusters)))
