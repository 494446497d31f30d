import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from eocore.errors import DataError
from eocore.evaluate.metrics.retrieval import (
    average_precision,
    average_precision_of_hits,
    first_ranks,
    recall_at,
)

SCORES = np.array([[0.9, 0.8, 0.7, 0.6], [0.1, 0.2, 0.3, 0.4], [0.5, 0.4, 0.3, 0.2]])
RELEVANT = np.array([[0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=bool)


def test_ranks_and_recall() -> None:
    ranks = first_ranks(SCORES, RELEVANT)
    assert ranks.tolist() == [2.0, 1.0, np.inf]
    assert [recall_at(ranks, k).mean() for k in (1, 2, 4)] == pytest.approx([1 / 3, 2 / 3, 2 / 3])


def test_average_precision_by_hand() -> None:
    found = average_precision(SCORES, RELEVANT)
    assert found == pytest.approx([(1 / 2 + 2 / 4) / 2, 1.0, 0.0])
    assert average_precision(SCORES, RELEVANT, top_k=2) == pytest.approx([1 / 2 / 2, 1.0, 0.0])
    assert average_precision(SCORES, RELEVANT, top_k=1) == pytest.approx([0.0, 1.0, 0.0])


def test_average_precision_without_a_cut_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    scores, relevant = rng.normal(size=(20, 50)), rng.random((20, 50)) < 0.2
    expected = [average_precision_score(truth, score) for truth, score in zip(relevant, scores, strict=True)]
    assert average_precision(scores, relevant) == pytest.approx(expected)


def test_what_is_divided_by_the_hits_forgets_the_items_not_found() -> None:
    relevant = np.zeros((1, 50), dtype=bool)
    relevant[0, [0, 30, 40]] = True
    scores = -np.arange(50.0)[None]
    assert average_precision_of_hits(scores, relevant, top_k=10)[0] == 1.0
    assert average_precision(scores, relevant, top_k=10)[0] == pytest.approx(1 / 3)
    assert average_precision_of_hits(scores, ~relevant, top_k=1)[0] == 0.0


def test_a_model_that_scores_everything_alike_finds_nothing() -> None:
    relevant = np.eye(8, dtype=bool)
    assert first_ranks(np.ones((8, 8)), relevant).tolist() == [8.0] * 8
    assert average_precision(np.ones((8, 8)), relevant) == pytest.approx(np.full(8, 1 / 8))


def test_both_directions_and_a_caption_of_no_image() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]])  # two images of one caption each, and a caption of neither
    relevant = np.array([[1, 0, 0], [0, 1, 0]], dtype=bool)
    assert [recall_at(first_ranks(scores, relevant), k).mean() for k in (1, 5)] == [0.5, 1.0]
    assert average_precision(scores, relevant).mean() == pytest.approx((1 + 1 / 3) / 2)
    assert first_ranks(scores.T, relevant.T).tolist() == [2.0, 2.0, np.inf]
    assert average_precision_of_hits(scores, relevant, top_k=2).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("scores", "relevant", "message"),
    [
        (np.ones((2, 3)), np.ones((3, 2), dtype=bool), r"scores \(2, 3\) and relevant \(3, 2\) bool: expected the same"),
        (np.ones((2, 3)), np.ones((2, 3), dtype=int), "expected the same"),
        (np.ones((0, 3)), np.ones((0, 3), dtype=bool), "none of them 0"),
        (np.full((1, 2), np.nan), np.ones((1, 2), dtype=bool), "2 of 2 scores are not finite"),
    ],
)
def test_what_cannot_be_ranked_is_an_error(scores: np.ndarray, relevant: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        first_ranks(scores, relevant)
    with pytest.raises(DataError, match=message):
        average_precision(scores, relevant)


def test_a_cut_of_nothing_is_an_error() -> None:
    with pytest.raises(DataError, match="top_k is 0"):
        average_precision(SCORES, RELEVANT, top_k=0)
