"""Exact search over unit vectors: the reference that every other index is measured against. N items, Q queries, D width."""

from collections.abc import Iterator

import numpy as np

BLOCK = 65_536
"""Rows that are compared at a time: 100 MB of a width of 384."""


def exact_search(vectors: np.ndarray, queries: np.ndarray, *, k: int, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(Q, k) rows of the greatest cosines, and (Q, k) these, greatest first; of equal ones the lower row comes first.

    Args:
        vectors: (N, D) float32 of length 1; may lie on disk.
        queries: (Q, D) float32 of length 1.
        k: at most as many; fewer come back where there are fewer rows.
        rows: (M,) ascending rows to search among; None = all.
    """
    best = np.zeros((len(queries), 0), dtype=np.int64)
    scores = np.zeros((len(queries), 0), dtype=np.float32)
    for found, part in _blocks(vectors, rows):
        best = np.concatenate([best, np.broadcast_to(found, (len(queries), len(found)))], axis=1)
        scores = np.concatenate([scores, queries @ part.T], axis=1)
        if scores.shape[1] > 2 * k:  # all but a few are out of the question: sorting these alone is much quicker
            least = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
            columns = np.flatnonzero((scores >= least).any(axis=0))
            best, scores = best[:, columns], scores[:, columns]
    return _sorted(best, scores, k=k)


def _blocks(vectors: np.ndarray, rows: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    count = len(vectors) if rows is None else len(rows)
    for start in range(0, count, BLOCK):
        found = np.arange(start, min(start + BLOCK, count)) if rows is None else rows[start : start + BLOCK]
        yield found, np.asarray(vectors[start : start + BLOCK] if rows is None else vectors[found])


def _sorted(rows: np.ndarray, scores: np.ndarray, *, k: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((rows, -scores), axis=-1)[:, :k]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)


def nearest(vectors: np.ndarray, query: np.ndarray, *, k: int, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(k,) rows and (k,) cosines: as `exact_search`, for one query (D,)."""
    found, scores = exact_search(vectors, query[None], k=k, rows=rows)
    return found[0], scores[0]
