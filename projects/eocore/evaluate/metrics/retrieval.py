"""Retrieval: how well the items that fit each query are ranked in a gallery. Q queries, N items.

Items of one score are taken in the order that is worst for the query, so that a model that scores everything alike finds nothing. A query
that no item fits stays in the denominator, as never found.

Written here since scikit-learn and torchmetrics take equal scores in another order, and intervals need the value of every query.
"""

import numpy as np

from eocore.errors import DataError

CUTS = (1, 5, 10)
"""k of recall@k. Source: Karpathy and Fei-Fei 2015, image and sentence retrieval; RSICD and RSITMD are reported so."""
TOP = 100
"""k of mAP@k. Source: MS-CLIP, evaluation of zero-shot retrieval."""


def first_ranks(scores: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """(Q,) rank of the first item that fits, 1 = first; inf where none does.

    Args:
        scores: (Q, N) similarity, higher = nearer.
        relevant: (Q, N) bool, which items fit which query.

    Raises:
        DataError: the two have other shapes, there is no query or no item, or a score is not finite.
    """
    _check(scores, relevant)
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)
    before = ((scores >= best) & ~relevant).sum(axis=1)
    return np.where(relevant.any(axis=1), before + 1.0, np.inf)


def recall_at(ranks: np.ndarray, k: int) -> np.ndarray:
    """(Q,) 1 where an item that fits is among the first k, else 0, from `first_ranks`; the mean is what is reported as recall@k (R@k).

    Source: Karpathy and Fei-Fei 2015. Where several items fit, one of them is enough: it is a hit rate, not the share found of all.
    """
    return (ranks <= k).astype(np.float64)


def average_precision(scores: np.ndarray, relevant: np.ndarray, *, top_k: int | None = None) -> np.ndarray:
    """(Q,) average precision [0..1], the mean of which is mAP (mAP@k).

    Precision at the rank of every item that fits and is among the first k, summed, divided by how many could be there: min(k, R) of R
    items that fit. Source: Manning, Raghavan and Schuetze 2008, section 8.4.

    Args:
        scores: (Q, N), as `first_ranks`.
        relevant: (Q, N), as `first_ranks`.
        top_k: only the first so many items; None = all.

    Raises:
        DataError: as `first_ranks`, or `top_k` below 1.
    """
    precision, _ = _precision_at_hits(scores, relevant, top_k=top_k)
    possible = np.minimum(relevant.sum(axis=1), scores.shape[1] if top_k is None else top_k)
    return _divide(precision, possible)


def average_precision_of_hits(scores: np.ndarray, relevant: np.ndarray, *, top_k: int = TOP) -> np.ndarray:
    """(Q,) as `average_precision`, but divided by the number of items found among the first k: one hit at rank 1 of 50 gives 1.

    For comparison with MS-CLIP's figures only. Source: RetrievalMAP(top_k=100) of torchmetrics, which its evaluation calls.
    """
    precision, hits = _precision_at_hits(scores, relevant, top_k=top_k)
    return _divide(precision, hits)


def _precision_at_hits(scores: np.ndarray, relevant: np.ndarray, *, top_k: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(Q,) summed precision at the ranks of the hits among the first k, and (Q,) how many hits there are."""
    _check(scores, relevant)
    if top_k is not None and top_k < 1:
        raise DataError(f"top_k is {top_k}; the precision among no items is not defined. Give 1 or more, or None for all.")
    order = np.lexsort((relevant, -scores), axis=-1)[:, :top_k]  # of equal scores, the items that do not fit come first
    hits = np.take_along_axis(relevant, order, axis=1)
    ranks = np.arange(1, hits.shape[1] + 1)
    return np.where(hits, np.cumsum(hits, axis=1) / ranks, 0.0).sum(axis=1), hits.sum(axis=1)


def _divide(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.divide(sums, counts, out=np.zeros(len(sums)), where=counts > 0)


def _check(scores: np.ndarray, relevant: np.ndarray) -> None:
    if scores.ndim != 2 or scores.shape != relevant.shape or relevant.dtype != bool or not scores.size:
        raise DataError(
            f"scores {scores.shape} and relevant {relevant.shape} {relevant.dtype}: expected the same (queries, items), none of them 0, "
            "and bool. Ranks cannot be told; compute both from the same lists."
        )
    if not np.isfinite(scores).all():
        raise DataError(
            f"{(~np.isfinite(scores)).sum()} of {scores.size} scores are not finite and have no rank. Look for broken images or weights."
        )
