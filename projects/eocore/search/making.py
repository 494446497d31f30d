"""An index of vectors that are there: made, filled anew after a change, measured and written; one process writes at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from eocore.errors import OutputError
from eocore.files import writing
from eocore.folder_lock import FolderLock
from eocore.log import get_logger
from eocore.search import index_kinds
from eocore.search.index_folder import FORMAT, Facts, Index, Space, write_index
from eocore.search.index_kinds import Searcher, choose_kind
from eocore.search.recall import TARGET, TOP, measure_recall

WAIT_S = 5.0
"""For another process that writes the index [s]."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """No other process builds the index or changes it meanwhile. Raises OutputError where one does."""
    lock = FolderLock(folder)
    with writing(folder, "the index"):
        holder = lock.take(wait_s=WAIT_S)
    if holder is not None:
        raise OutputError(f"{folder}: {holder} is writing the index. Wait for it, or name another folder.")
    try:
        yield
    finally:
        lock.release()


def job_folder(folder: Path, generation: int) -> Path:
    """Folder of the vectors that are made already of an index that is not written yet."""
    return folder / f"job-{generation:04d}"


def make(space: Space, vectors: np.ndarray, *, documents: Any, kind: str | None, failed: dict[str, str]) -> Index:
    """An index of the first generation, not measured yet.

    Args:
        space: of the vectors.
        vectors: (N, D) float32 of length 1.
        documents: table of the N items.
        kind: see `index_kinds`; None = by the number of items.
        failed: key -> why, of items that are not in it.

    Raises:
        ConfigError: too few vectors for the kind.
    """
    num_items, width = vectors.shape
    chosen = kind or choose_kind(num_items, width)
    facts = Facts(FORMAT, 1, space, num_items, width, chosen, 0, {}, {}, failed)
    return Index(Path(), facts, documents, Searcher(chosen, vectors, index_kinds.build(chosen, vectors)))


def grown(index: Index, vectors: np.ndarray, *, documents: Any, failed: dict[str, str]) -> Index:
    """The next generation of an index: of another kind where it has outgrown its own.

    Args:
        index: as it is.
        vectors: (N, D) its own, with further ones behind.
        documents: table of the N items.
        failed: see `make`.
    """
    before = index.facts
    facts = _next_facts(before, len(vectors), failed=failed)
    faiss_index = index.searcher.index
    if facts.kind == before.kind and faiss_index is not None:
        index_kinds.add(faiss_index, vectors[before.num_items :], kind=facts.kind)
    else:
        faiss_index = index_kinds.build(facts.kind, vectors)
    return Index(index.folder, facts, documents, Searcher(facts.kind, vectors, faiss_index))


def refilled(index: Index, vectors: np.ndarray, *, documents: Any, failed: dict[str, str]) -> Index:
    """The next generation of an index with other vectors; what its kind has learnt of the earlier ones stays.

    Args:
        index: as it is; of its FAISS index nothing is left.
        vectors: (N, D) all that it shall hold.
        documents: table of the N items.
        failed: see `make`.
    """
    facts = _next_facts(index.facts, len(vectors), failed=failed)
    faiss_index = index.searcher.index
    if facts.kind == index.facts.kind and faiss_index is not None:
        faiss_index.reset()  # keeps centroids and codes
        index_kinds.add(faiss_index, vectors, kind=facts.kind)
    else:
        faiss_index = index_kinds.build(facts.kind, vectors)
    return Index(index.folder, facts, documents, Searcher(facts.kind, vectors, faiss_index))


def _next_facts(before: Facts, num_items: int, *, failed: dict[str, str]) -> Facts:
    """A kind that was chosen by the size is chosen anew; one that was named stays while there is enough to learn from."""
    was_chosen = before.kind == choose_kind(before.num_items, before.width)
    too_few = num_items < index_kinds.LEAST_LEARNT and before.kind in {index_kinds.IVF, index_kinds.PQ}
    kind = choose_kind(num_items, before.width) if was_chosen or too_few else before.kind
    return replace(before, generation=before.generation + 1, num_items=num_items, kind=kind, failed=failed)


def measure_and_write(folder: Path, index: Index, *, again: bool = False) -> Facts:
    """Measures the index and writes it; one that finds too little is made anew where it has been changed.

    Args:
        folder: it goes to.
        index: not measured yet.
        again: it was changed.

    Raises:
        OutputError: as `write_index`.
    """
    recall = measure_recall(index.searcher)
    if recall.value < TARGET and again:
        get_logger().info("recall@%d is %.3f after the change: the index is made anew", TOP, recall.value)
        vectors, kind = index.searcher.vectors, index.facts.kind
        index = replace(index, searcher=Searcher(kind, vectors, index_kinds.build(kind, vectors)))
        recall = measure_recall(index.searcher)
    return write_index(folder, index, recall=recall)
