"""Recall of the index that is chosen: high where vectors have groups, and told where they have none."""

import numpy as np
import pytest
from clusters import clustered, independent

from eocore.search.index_kinds import FLAT, IVF, Searcher, build, choose_kind
from eocore.search.recall import TARGET, as_fields, measure_recall


def test_the_chosen_index_of_fifty_thousand_vectors_reaches_the_target() -> None:
    vectors = clustered(50_000, width=384, num_centres=5000)
    kind = choose_kind(*vectors.shape)
    found = measure_recall(Searcher(kind, vectors, build(kind, vectors)), num_queries=100)
    assert kind != FLAT and found.value >= TARGET
    assert as_fields(found)["curve"][str(found.width)] == round(found.value, 4)


def test_vectors_without_groups_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    vectors = independent(20_000, width=384)
    found = measure_recall(Searcher(IVF, vectors, build(IVF, vectors)), num_queries=50)
    assert found.value < TARGET
    assert f"the index finds {100 * found.value:.1f} % of the exact 10 nearest, below 95 %" in capsys.readouterr().err


def test_an_exact_index_needs_no_measure() -> None:
    assert measure_recall(Searcher(FLAT, np.eye(3, dtype=np.float32))).value == 1.0
