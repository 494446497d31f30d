"""Two predictions files on the same samples: how much better is one, and could that be chance."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from eocore.errors import DataError
from eocore.evaluate.predictions import Prediction, some_ids
from eocore.evaluate.scoring.intervals import Measure, Value, as_value, resample
from eocore.evaluate.scoring.score import JudgedTasks, clusters_of, judge_samples, rows_by
from eocore.evaluate.scoring.scorers.base import Judged
from eocore.evaluate.tasks import TASKS

MEAN_OF_TYPES = "mean of types"


class Comparison(TypedDict):
    """One figure of both files. `difference`: first minus second, drawn alike for both; `p`: two-sided, of the bootstrap: how often the
    drawn sets put the difference on the other side of 0, None where there are too few images to draw from."""

    task: str
    first_setting: str
    second_setting: str
    samples: str
    metric: str
    n: int
    first: float
    second: float
    difference: Value
    p: float | None


def compare_predictions(
    first: Sequence[Prediction], second: Sequence[Prediction], *, metrics: Mapping[str, Mapping[str, Any]] | None = None, seed: int = 0
) -> list[Comparison]:
    """Every figure of the tasks both files have, with the paired difference; the headline also by type and as mean of types.

    Settings are matched by name; where a task has one setting in each file, these two are compared whatever they are called.

    Args:
        first: samples of one file.
        second: of the other; each task must ask the same samples with the same truths.
        metrics: task -> entry of METRICS, as in `score_predictions`.
        seed: of the bootstrap.

    Raises:
        DataError: no task in common, or other samples or truths.
        AnnotationError: an annotation lacks what its task is scored by.
    """
    judged = [judge_samples(samples, metrics=metrics)[0] for samples in (first, second)]
    pairs = [pair for task in TASKS for pair in _pairs(judged[0], judged[1], task=task)]
    if not pairs:
        found = [sorted({f"{task} ({setting})" for setting, task in part}) for part in judged]
        raise DataError(
            f"the files have no scored task in common: {', '.join(found[0]) or 'none'} against {', '.join(found[1]) or 'none'}. Compare "
            "predictions of the same benchmark."
        )
    return [row for mine, theirs, headline in pairs for row in _compare(mine, theirs, headline=headline, seed=seed)]


def _pairs(first: JudgedTasks, second: JudgedTasks, *, task: str) -> list[tuple[Judged, Judged, str]]:
    settings = [[setting for setting, name in part if name == task] for part in (first, second)]
    shared = [(setting, setting) for setting in settings[0] if setting in settings[1]]
    if not shared and len(settings[0]) == len(settings[1]) == 1:
        shared = [(settings[0][0], settings[1][0])]
    return [(first[mine, task][0], second[theirs, task][0], first[mine, task][1]) for mine, theirs in shared]


def _compare(first: Judged, second: Judged, *, headline: str, seed: int) -> list[Comparison]:
    order = _same_samples(first.samples, second.samples)
    everyone = np.arange(len(order))
    names = [headline, *(name for name in first.measures if name != headline and name in second.measures)]
    cells = [("all", everyone, name) for name in names] + [(name, rows, headline) for name, rows in rows_by(first, "type").items()]
    rows = [_row(first, second, order=order, cell=cell, seed=seed) for cell in cells]
    types = [row for row in rows if row["samples"] != "all"]
    rows += [_macro(first, second, order=order, headline=headline, seed=seed)] if types else []
    return [row for row in rows if np.isfinite(row["first"]) and np.isfinite(row["second"])]


def _macro(first: Judged, second: Judged, *, order: np.ndarray, headline: str, seed: int) -> Comparison:
    """The difference of the means over types, each type drawn by itself."""
    means, drawn, numbers = [], [], []
    for index, rows in enumerate(rows_by(first, "type").values()):
        clusters = clusters_of(first, rows)
        pair = (first.measures[headline], rows), (second.measures[headline], order[rows])
        means.append([measure.of(own) for measure, own in pair])
        drawn.append([measure.reduce(resample(measure.statistics[own], clusters, seed=seed + index)) for measure, own in pair])
        numbers.append(len(set(clusters)))
    values, replicates = np.mean(means, axis=0), np.mean(drawn, axis=0)
    return _comparison(
        first, second, cell=(MEAN_OF_TYPES, np.arange(len(order)), headline), values=values, drawn=replicates, num_clusters=min(numbers)
    )


def _row(first: Judged, second: Judged, *, order: np.ndarray, cell: tuple[str, np.ndarray, str], seed: int) -> Comparison:
    _, rows, metric = cell
    pair: tuple[tuple[Measure, np.ndarray], ...] = (first.measures[metric], rows), (second.measures[metric], order[rows])
    values = [measure.of(own) for measure, own in pair]
    clusters = clusters_of(first, rows)
    drawn = [measure.reduce(resample(measure.statistics[own], clusters, seed=seed)) for measure, own in pair]
    return _comparison(first, second, cell=cell, values=values, drawn=drawn, num_clusters=len(set(clusters)))


def _comparison(
    first: Judged,
    second: Judged,
    *,
    cell: tuple[str, np.ndarray, str],
    values: Sequence[float] | np.ndarray,
    drawn: Sequence[np.ndarray] | np.ndarray,
    num_clusters: int,
) -> Comparison:
    samples, rows, metric = cell
    difference = drawn[0] - drawn[1]
    return Comparison(
        task=first.samples[0].task,
        first_setting=first.samples[0].sensor,
        second_setting=second.samples[0].sensor,
        samples=samples,
        metric=metric,
        n=len(rows),
        first=float(values[0]),
        second=float(values[1]),
        difference=as_value(float(values[0] - values[1]), difference, num_clusters=num_clusters),
        p=_p_value(difference) if num_clusters > 1 and np.isfinite(difference).any() else None,
    )


def _p_value(differences: np.ndarray) -> float:
    """Source: Efron and Tibshirani 1993, achieved significance level by the percentile interval; one drawn set is the least it can show."""
    known = differences[np.isfinite(differences)]
    tail = min((known <= 0).sum(), (known >= 0).sum())
    return float(min(1.0, 2.0 * max(int(tail), 1) / max(len(known), 1)))


def _same_samples(first: Sequence[Prediction], second: Sequence[Prediction]) -> np.ndarray:
    """Indices of the first file's samples in the second."""
    index_of = {sample.sample_id: number for number, sample in enumerate(second)}
    lacking = [sample.sample_id for sample in first if sample.sample_id not in index_of]
    beyond = sorted(set(index_of) - {sample.sample_id for sample in first})
    if lacking or beyond:
        raise DataError(
            f"task {first[0].task}: {len(lacking)} samples are only in the first file ({some_ids(lacking) or '-'}) and {len(beyond)} only "
            f"in the second ({some_ids(beyond) or '-'}); a difference over other samples means nothing. Compare predictions of the same "
            "samples."
        )
    order = np.array([index_of[sample.sample_id] for sample in first])
    for sample, other in zip(first, order, strict=True):
        if _truth(sample) != _truth(second[other]):
            raise DataError(
                f"task {sample.task}: sample '{sample.sample_id}' has another truth in the second file "
                f"({second[other].ground_truth!r:.60}) than in the first ({sample.ground_truth!r:.60}). The files were made from different "
                "annotations."
            )
    return order


def _truth(sample: Prediction) -> tuple[Any, ...]:
    masks = [(tuple(rle["size"]), rle["counts"]) for rle in sample.ground_truth_masks]
    return sample.ground_truth, masks, list(sample.meta.get("references", ()))
