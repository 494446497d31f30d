"""Exact search: all of it, in an order that does not depend on how the rows are cut into blocks."""

import numpy as np
import pytest
from clusters import clustered

from eocore.search import exact
from eocore.search.exact import exact_search, nearest


@pytest.mark.parametrize("block", [7, 64, 1000])
def test_it_is_the_sorted_list_of_cosines(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "BLOCK", block)
    vectors, queries = clustered(200, width=8, num_centres=5), clustered(3, width=8, num_centres=5, seed=1)
    rows, scores = exact_search(vectors, queries, k=11)
    cosines = queries @ vectors.T
    np.testing.assert_array_equal(rows, np.argsort(-cosines, axis=1, kind="stable")[:, :11])
    np.testing.assert_allclose(scores, np.take_along_axis(cosines, rows, axis=1), rtol=1e-6)


@pytest.mark.parametrize("block", [3, 100])
def test_of_equal_ones_the_lower_row_comes_first(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "BLOCK", block)
    rows, _ = nearest(np.ones((20, 1), dtype=np.float32), np.ones(1, dtype=np.float32), k=4)
    assert rows.tolist() == [0, 1, 2, 3]


def test_among_some_rows_only_these_are_found() -> None:
    vectors = clustered(50, width=8, num_centres=5)
    rows, _ = nearest(vectors, vectors[0], k=10, rows=np.array([3, 5, 40]))
    assert sorted(rows.tolist()) == [3, 5, 40]


def test_fewer_rows_give_fewer_results() -> None:
    vectors = clustered(3, width=8, num_centres=2)
    assert nearest(vectors, vectors[1], k=10)[0][0] == 1 and len(nearest(vectors, vectors[1], k=10)[0]) == 3
