"""Each kind of index: chosen by size, made the same twice, and right under a filter."""

import numpy as np
import pytest
from clusters import clustered

from eocore.errors import ConfigError
from eocore.search import index_kinds
from eocore.search.exact import nearest
from eocore.search.index_kinds import FLAT, HNSW, IVF, KINDS, PQ, WIDTHS, Searcher, build, choose_kind
from eocore.search.recall import measure_recall

NUM, WIDTH = 3000, 32
APPROXIMATE = (HNSW, IVF, PQ)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clustered(NUM, width=WIDTH, num_centres=60)


@pytest.fixture(scope="module")
def built(vectors: np.ndarray) -> dict[str, Searcher]:
    return {kind: Searcher(kind, vectors, build(kind, vectors), WIDTHS[kind][-1] if kind in WIDTHS else 0) for kind in KINDS}


@pytest.mark.parametrize(
    ("count", "width", "kind"),
    [(1, 384, FLAT), (20_000, 384, FLAT), (20_001, 384, HNSW), (100_000, 384, HNSW), (1_000_000, 384, IVF), (10_000_000, 384, PQ)],
)
def test_the_kind_follows_the_number_of_items(count: int, width: int, kind: str) -> None:
    assert choose_kind(count, width) == kind


@pytest.mark.parametrize("kind", KINDS)
def test_searched_thoroughly_every_kind_finds_what_an_exact_search_does(built: dict[str, Searcher], kind: str) -> None:
    assert measure_recall(built[kind], num_queries=50).value >= 0.97


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.5, 0.01])
def test_a_filter_is_kept_and_its_results_are_as_many_as_asked_for(
    built: dict[str, Searcher], kind: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_kinds, "MOST_FLAT", 0)  # so that the index itself filters
    allowed = np.random.default_rng(3).random(NUM) < share
    searcher = built[kind]
    rows, scores = searcher.search(searcher.vectors[5], k=10, allowed=allowed)
    assert len(rows) == 10 and allowed[rows].all()
    assert (np.diff(scores) <= 0).all()
    exact, _ = nearest(searcher.vectors, searcher.vectors[5], k=10, rows=np.flatnonzero(allowed))
    assert len(set(rows) & set(exact)) >= 8


@pytest.mark.parametrize("kind", APPROXIMATE)
def test_where_the_visited_part_holds_too_few_the_search_is_exact(built: dict[str, Searcher], kind: str) -> None:
    searcher = Searcher(kind, built[kind].vectors, built[kind].index, 1)
    rows, _ = searcher.search(searcher.vectors[0], k=NUM)
    assert sorted(rows.tolist()) == list(range(NUM))


@pytest.mark.parametrize("kind", APPROXIMATE)
def test_the_same_vectors_give_the_same_index(vectors: np.ndarray, built: dict[str, Searcher], kind: str) -> None:
    faiss = pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra: search)")
    np.testing.assert_array_equal(faiss.serialize_index(build(kind, vectors)), faiss.serialize_index(built[kind].index))


def test_an_unknown_kind_is_refused(vectors: np.ndarray) -> None:
    with pytest.raises(ConfigError, match=r"no kind of index 'tree'\. Kinds: flat, hnsw, ivf, pq"):
        build("tree", vectors)


@pytest.mark.parametrize("kind", [IVF, PQ])
def test_too_few_vectors_to_learn_from_are_told(vectors: np.ndarray, kind: str) -> None:
    with pytest.raises(ConfigError, match=rf"kind '{kind}' needs 256 vectors to learn from, and there are 100\. Choose flat"):
        build(kind, vectors[:100])
