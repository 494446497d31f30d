"""Bootstrap intervals of scores that are functions of sums over samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

RESAMPLES = 1000
"""Drawn sets per interval. Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993): at least 1000 for percentiles."""

LEVEL = 0.95
_DRAWS_AT_ONCE = 2_000_000

Reduce = Callable[[np.ndarray], np.ndarray]


class Value(TypedDict):
    """A score and its interval; `low` and `high` None where fewer than two images carry it."""

    value: float
    low: float | None
    high: float | None


def ratio(sums: np.ndarray) -> np.ndarray:
    """(...) first over second of (..., 2) sums, NaN where the second is 0."""
    return np.divide(sums[..., 0], sums[..., 1], out=np.full(sums.shape[:-1], np.nan), where=sums[..., 1] > 0)


def ratio_or_one(sums: np.ndarray) -> np.ndarray:
    """As `ratio`, but 1 where the second is 0: where nothing is there, finding nothing is right."""
    return np.nan_to_num(ratio(sums), nan=1.0)


@dataclass(frozen=True)
class Measure:
    """One score of a set of samples.

    Attributes:
        statistics: (N, K), a row per sample; the score of any choice of samples is `reduce` of the sum of their rows.
        reduce: (..., K) sums -> (...) scores, NaN where the choice has nothing to score.
        whole: (M,) rows -> score, for a score that is no function of sums (a mean average precision over classes); it has no interval.
    """

    statistics: np.ndarray
    reduce: Reduce = ratio
    whole: Callable[[np.ndarray], float] | None = None

    def of(self, rows: np.ndarray) -> float:
        """The score of some samples: `rows` are their indices, (M,) int."""
        if self.whole is not None:
            return self.whole(rows)
        return float(self.reduce(self.statistics[rows].sum(axis=0)))


def mean_of(values: Sequence[float] | np.ndarray, counts: Sequence[float] | np.ndarray | None = None) -> Measure:
    """The measure that is sum of `values` over sum of `counts` (one per sample by default)."""
    numerator = np.asarray(values, dtype=np.float64)
    denominator = np.ones_like(numerator) if counts is None else np.asarray(counts, dtype=np.float64)
    return Measure(np.stack([numerator, denominator], axis=1))


def mean_over_groups(values: np.ndarray, counts: np.ndarray, *, groups: Sequence[str]) -> Measure:
    """The measure that is the unweighted mean over groups of sum of `values` over sum of `counts`; groups without a count are left out.

    Args:
        values, counts: (N,) of the samples.
        groups: (N,) names.
    """
    member = np.array([[group == name for name in sorted(set(groups))] for group in groups], dtype=np.float64)
    statistics = np.stack([member * values[:, None], member * counts[:, None]], axis=2)

    def reduce(sums: np.ndarray) -> np.ndarray:
        by_group = ratio(sums.reshape(*sums.shape[:-1], -1, 2))
        known = np.isfinite(by_group)
        return ratio(np.stack([np.where(known, by_group, 0.0).sum(-1), known.sum(-1)], axis=-1))

    return Measure(statistics.reshape(len(values), -1), reduce)


def without_interval(whole: Callable[[np.ndarray], float], num_samples: int) -> Measure:
    """A measure that is computed anew for each choice of samples, and not resampled."""
    return Measure(np.zeros((num_samples, 0)), lambda sums: np.full(sums.shape[:-1], np.nan), whole)


def resample(statistics: np.ndarray, clusters: Sequence[str], *, seed: int) -> np.ndarray:
    """Sums over sets drawn with replacement.

    Whole clusters (images) are drawn, since the questions on one image are not independent. Two calls with the same clusters in the same
    order and the same seed draw the same sets, so differences of their scores are paired.

    Args:
        statistics: (N, K) of the samples.
        clusters: N names.
        seed: of the draws.

    Returns:
        (RESAMPLES, K) sums.
    """
    column: dict[str, int] = {}
    member = np.array([column.setdefault(name, len(column)) for name in clusters])
    sums = np.zeros((len(column), statistics.shape[1]))
    np.add.at(sums, member, statistics)
    rng = np.random.default_rng(seed)
    rows = max(1, _DRAWS_AT_ONCE // len(sums))
    parts = []
    for start in range(0, RESAMPLES, rows):
        drawn = rng.integers(len(sums), size=(min(rows, RESAMPLES - start), len(sums)))
        flat = (drawn + len(sums) * np.arange(len(drawn))[:, None]).ravel()
        times = np.bincount(flat, minlength=drawn.size).reshape(drawn.shape)
        parts.append(times.astype(np.float64) @ sums)
    return np.concatenate(parts)


def as_value(value: float, replicates: np.ndarray, *, num_clusters: int) -> Value:
    """The value with its percentile interval.

    Args:
        value: on the samples themselves.
        replicates: (RESAMPLES,) on the drawn sets; NaN where a set had nothing to score, which is left out.
        num_clusters: number of independent images.
    """
    known = replicates[np.isfinite(replicates)]
    if num_clusters < 2 or not known.size:
        return Value(value=value, low=None, high=None)
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(known, (tail, 1.0 - tail))
    return Value(value=value, low=float(low), high=float(high))
