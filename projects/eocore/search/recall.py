"""How much of what an exact search finds an index finds too, and how thoroughly it must be searched for that."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from eocore.log import get_logger
from eocore.search.exact import exact_search
from eocore.search.index_kinds import FLAT, WIDTHS, Searcher

TOP = 10
"""k of the recall that is measured."""
NUM_QUERIES = 200
"""Their standard error is 1.5 points at a recall of 0.95 where the hits of a query stand or fall together."""
TARGET = 0.95
WANTED = 0.97
"""An index is searched as thoroughly as gives this on the sample, so that other queries lie above TARGET too."""
SEED = 1


@dataclass(frozen=True)
class Recall:
    """Recall@10 of an index.

    Attributes:
        width: of the search, see `index_kinds.WIDTHS`.
        value: mean share of the exact 10 nearest that is found.
        curve: width -> value, of all that were tried.
        num_queries: that it was measured with.
    """

    width: int
    value: float
    curve: dict[int, float] = field(default_factory=dict)
    num_queries: int = 0


def measure_recall(searcher: Searcher, *, num_queries: int = NUM_QUERIES) -> Recall:
    """Tries widths until one reaches WANTED; queries are items of the index, each left out of its own results.

    Args:
        searcher: whose width does not count.
        num_queries: at most.
    """
    if searcher.kind == FLAT or len(searcher.vectors) < 2:
        return Recall(0, 1.0)
    rows = np.random.default_rng(SEED).permutation(len(searcher.vectors))[:num_queries]
    truth, _ = exact_search(searcher.vectors, np.asarray(searcher.vectors[np.sort(rows)]), k=TOP + 1)
    curve: dict[int, float] = {}
    for width in WIDTHS[searcher.kind]:
        curve[width] = recall_of(replace(searcher, width=width), np.sort(rows), truth=truth)
        if curve[width] >= WANTED:
            break
    width, value = max(curve.items(), key=lambda pair: pair[1])
    if value < TARGET:
        get_logger().warning(
            "the index finds %.1f %% of the exact 10 nearest, below %.0f %%: the vectors have no groups that it could follow. Build it "
            "with --kind flat, which is exact",
            100 * value,
            100 * TARGET,
        )
    return Recall(width, value, curve, len(rows))


def recall_of(searcher: Searcher, rows: np.ndarray, *, truth: np.ndarray) -> float:
    """Mean share of the exact nearest that a searcher finds.

    Args:
        searcher: as thorough as it is.
        rows: (Q,) items that are the queries.
        truth: (Q, k + 1) their exact nearest, with themselves.
    """
    shares = []
    for row, exact in zip(rows, truth, strict=True):
        wanted = [other for other in exact if other != row][:TOP]
        found, _ = searcher.search(np.asarray(searcher.vectors[row]), k=len(wanted) + 1)
        shares.append(len(set(wanted) & {other for other in found if other != row}) / len(wanted))
    return float(np.mean(shares))


def as_fields(recall: Recall) -> dict[str, Any]:
    """For `index.json`."""
    curve = {str(width): round(value, 4) for width, value in recall.curve.items()}
    return {"k": TOP, "value": round(recall.value, 4), "num_queries": recall.num_queries, "curve": curve}
