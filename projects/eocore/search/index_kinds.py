"""Kinds of index by the number of items, made by FAISS, and how thoroughly each is searched. N items, D width.

Sources: Johnson, Douze and Jegou 2019 (FAISS: inverted lists, product quantisation); Malkov and Yashunin 2020 (HNSW); the FAISS wiki,
"Guidelines to choose an index".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eocore.errors import ConfigError
from eocore.search.exact import nearest

FLAT, HNSW, IVF, PQ = "flat", "hnsw", "ivf", "pq"
KINDS = (FLAT, HNSW, IVF, PQ)
"""Exact; a graph; inverted lists; inverted lists of compressed vectors, whose candidates are compared by the vectors on disk."""
MOST_FLAT = 20_000
"""Up to so many items an exact search takes milliseconds."""
MOST_HNSW = 100_000
"""A graph takes the longest to build of all kinds."""
MOST_IVF_BYTES = 8 * 2**30
"""Larger sets of vectors are compressed: an index of inverted lists holds them in memory."""

LINKS = 32
"""Links of a graph's node: M of HNSW."""
LISTS_PER_ROOT = 4
"""Number of inverted lists over the root of N. Source: the FAISS wiki: 4 sqrt(N) to 16 sqrt(N)."""
TRAINING_PER_LIST = 64
"""Vectors for each list that k-means is given. Source: the FAISS wiki: 30 to 256."""
CODE_DIMENSIONS = 4
"""Dimensions that a byte of a code stands for."""
TRAINING_PER_CODE = 64
"""Vectors for each of the 256 centroids of a byte."""
LEAST_LEARNT = 256
"""Vectors that lists and codes can be learnt from."""
SEED = 0
WIDTHS: Mapping[str, tuple[int, ...]] = {
    HNSW: (16, 32, 64, 128, 256, 512),
    IVF: (1, 2, 4, 8, 16, 32, 64, 128, 256),
    PQ: (1, 2, 4, 8, 16, 32, 64, 128, 256),
}
"""How thoroughly an index may be searched: nodes of a graph kept in view (efSearch), lists visited (nprobe)."""
CANDIDATES_PER_RESULT = 20
"""Compressed vectors that are compared in full, for each result."""
LEAST_CANDIDATES = 100


def choose_kind(num_items: int, width: int) -> str:
    """The kind of index for so many vectors of a width D."""
    if num_items <= MOST_FLAT:
        return FLAT
    if num_items <= MOST_HNSW:
        return HNSW
    return IVF if num_items * width * 4 <= MOST_IVF_BYTES else PQ


@dataclass(frozen=True)
class Searcher:
    """What finds the nearest vectors.

    Attributes:
        kind: one of KINDS.
        vectors: (N, D) float32 of length 1.
        index: FAISS's; None = exact.
        width: how thoroughly it is searched, one of WIDTHS; of no meaning where the search is exact.
    """

    kind: str
    vectors: np.ndarray
    index: Any = None
    width: int = 0

    def search(self, query: np.ndarray, *, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(k,) rows and (k,) cosines, greatest first; fewer where fewer are allowed.

        Args:
            query: (D,) float32 of length 1.
            k: results.
            allowed: (N,) bool; None = all.
        """
        if allowed is not None and allowed.sum() <= max(MOST_FLAT, k):
            return nearest(self.vectors, query, rows=np.flatnonzero(allowed), k=k)
        if self.index is None:
            return nearest(self.vectors, query, rows=None if allowed is None else np.flatnonzero(allowed), k=k)
        count = min(max(k * CANDIDATES_PER_RESULT, LEAST_CANDIDATES) if self.kind == PQ else k, len(self.vectors))
        _, found = self.index.search(query[None], count, params=self._parameters(count, allowed))
        rows = found[0][found[0] >= 0]
        if len(rows) < k:  # the part that was visited holds too few that are allowed
            return nearest(self.vectors, query, rows=None if allowed is None else np.flatnonzero(allowed), k=k)
        return nearest(self.vectors, query, rows=np.sort(rows), k=k)

    def _parameters(self, count: int, allowed: np.ndarray | None) -> Any:
        import faiss

        some = {} if allowed is None else {"sel": faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))}
        if self.kind == HNSW:
            return faiss.SearchParametersHNSW(efSearch=max(self.width, count), **some)
        if self.kind == PQ:
            return faiss.IVFPQSearchParameters(nprobe=self.width, **some)
        return faiss.SearchParametersIVF(nprobe=self.width, **some)


def build(kind: str, vectors: np.ndarray) -> Any:
    """FAISS's index of a kind with all vectors in it; None for the exact one.

    Args:
        kind: one of KINDS.
        vectors: (N, D) float32 of length 1.

    Raises:
        ConfigError: an unknown kind, or too few vectors for it.
    """
    if kind not in KINDS:
        raise ConfigError(f"no kind of index '{kind}'. Kinds: {', '.join(KINDS)}.")
    if kind == FLAT:
        return None
    import faiss

    num, width = vectors.shape
    if kind == HNSW:
        index = faiss.IndexHNSWFlat(width, LINKS, faiss.METRIC_INNER_PRODUCT)
    else:
        index = _inverted_lists(faiss, kind, num=num, width=width)
        chosen = np.random.default_rng(SEED).permutation(num)[: _training_size(kind, index.nlist)]
        index.train(np.ascontiguousarray(vectors[np.sort(chosen)]))
    add(index, vectors, kind=kind)
    return index


def add(index: Any, vectors: np.ndarray, *, kind: str) -> None:
    """Puts vectors behind those of an index, block by block: they may lie on disk. The same vectors give the same index."""
    import faiss

    threads = faiss.omp_get_max_threads()
    try:
        if kind == HNSW:
            faiss.omp_set_num_threads(1)  # threads would link nodes in the order in which they come to them
        for start in range(0, len(vectors), 65_536):
            index.add(np.ascontiguousarray(vectors[start : start + 65_536]))
    finally:
        faiss.omp_set_num_threads(threads)


def _inverted_lists(faiss: Any, kind: str, *, num: int, width: int) -> Any:
    lists = max(int(LISTS_PER_ROOT * num**0.5), 1)
    if num < LEAST_LEARNT or num < lists:
        raise ConfigError(
            f"an index of kind '{kind}' needs {LEAST_LEARNT} vectors to learn from, and there are {num}. Choose {FLAT}, which is exact."
        )
    centroids = faiss.IndexFlatIP(width)
    if kind == IVF:
        index = faiss.IndexIVFFlat(centroids, width, lists, faiss.METRIC_INNER_PRODUCT)
    else:
        bytes_a_code = max(count for count in range(1, max(width // CODE_DIMENSIONS, 1) + 1) if width % count == 0)
        index = faiss.IndexIVFPQ(centroids, width, lists, bytes_a_code, 8, faiss.METRIC_INNER_PRODUCT)
        index.pq.cp.max_points_per_centroid = TRAINING_PER_CODE
    index.cp.seed, index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = SEED, TRAINING_PER_LIST, 1
    return index


def _training_size(kind: str, lists: int) -> int:
    return max(lists * TRAINING_PER_LIST, 256 * TRAINING_PER_CODE if kind == PQ else 0)
