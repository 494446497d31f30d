"""Bootstrap intervals of scores that are quotients of sums over samples."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

RESAMPLES = 1000
"""Drawn sets per interval. Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993): at least 1000 for percentiles."""

LEVEL = 0.95
_DRAWS_AT_ONCE = 2_000_000


class Value(TypedDict):
    """A score and its interval; `low` and `high` None where fewer than two images carry it."""

    value: float
    low: float | None
    high: float | None


def resample(parts: np.ndarray, clusters: Sequence[str], *, if_empty: float, seed: int) -> np.ndarray:
    """The score on sets drawn with replacement.

    Whole clusters (images) are drawn, since the questions on one image are not independent. Two calls with the same clusters in the same
    order and the same seed draw the same sets, so their difference is that of paired settings.

    Args:
        parts: (N, 2) numerator and denominator of each sample.
        clusters: N names.
        if_empty: score of a drawn set whose denominators sum to 0.
        seed: of the draws.

    Returns:
        (RESAMPLES,) scores.
    """
    place: dict[str, int] = {}
    member = np.array([place.setdefault(name, len(place)) for name in clusters])
    sums = np.zeros((len(place), 2))
    np.add.at(sums, member, parts)
    rng = np.random.default_rng(seed)
    rows = max(1, _DRAWS_AT_ONCE // len(sums))
    drawn = [
        sums[rng.integers(len(sums), size=(min(rows, RESAMPLES - start), len(sums)))].sum(axis=1) for start in range(0, RESAMPLES, rows)
    ]
    return quotient(np.concatenate(drawn), if_empty=if_empty)


def quotient(sums: np.ndarray, *, if_empty: float) -> np.ndarray:
    """(...) numerator / denominator of (..., 2) sums, `if_empty` where the denominator is 0."""
    return np.divide(sums[..., 0], sums[..., 1], out=np.full(sums.shape[:-1], if_empty), where=sums[..., 1] > 0)


def as_value(value: float, replicates: np.ndarray, *, num_clusters: int) -> Value:
    """The value with its percentile interval.

    Args:
        value: on the samples themselves.
        replicates: (RESAMPLES,) on the drawn sets.
        num_clusters: number of independent images.
    """
    if num_clusters < 2:
        return Value(value=value, low=None, high=None)
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(replicates, (tail, 1.0 - tail))
    return Value(value=value, low=float(low), high=float(high))
