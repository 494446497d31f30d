"""Probes tell classes that vectors tell, no others, with intervals around the accuracy."""

import numpy as np
import pytest

from eocore.errors import ConfigError, DataError
from eocore.evaluate.metrics.probes import LabelledVectors, linear_probe, nearest_neighbours, probe_scores


def vectors(labels: list[str], *, seed: int, noise: float = 0.2) -> np.ndarray:
    centres = {name: np.eye(4)[number] for number, name in enumerate("abc")}
    rng = np.random.default_rng(seed)
    return np.array([centres[label] for label in labels]) + noise * rng.normal(size=(len(labels), 4))


TRAIN, TEST = list("abc") * 20, list("abbbc") * 8


@pytest.fixture
def train() -> LabelledVectors:
    return LabelledVectors(vectors(TRAIN, seed=0), TRAIN)


def test_both_tell_classes_that_lie_apart(train: LabelledVectors) -> None:
    test = vectors(TEST, seed=1)
    for found in (linear_probe(train, test), nearest_neighbours(train, 7 * test, k=5)):
        scores = probe_scores(TEST, found, images=[str(number) for number in range(len(TEST))])
        assert scores["accuracy"]["value"] >= 0.9 and scores["balanced_accuracy"]["value"] >= 0.9


def test_labels_without_relation_to_vectors_are_not_told() -> None:
    labels = [str(label) for label in np.random.default_rng(2).permutation(TRAIN * 5)]
    train = LabelledVectors(vectors(TRAIN * 5, seed=3), labels)
    found = linear_probe(train, vectors(TEST, seed=1))
    assert probe_scores(TEST, found, images=[str(number) for number in range(len(TEST))])["accuracy"]["value"] < 0.75


def test_the_vote_of_the_nearest_counts_by_hand() -> None:
    train = LabelledVectors(np.array([[1.0, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [0.2, 0.8]]), ["a", "b", "c", "b", "b"])
    asked = np.array([[1.0, 0.0], [0.0, 5.0]])
    assert nearest_neighbours(train, asked, k=1) == ["a", "c"]
    assert nearest_neighbours(train, asked, k=3) == ["b", "b"]


def test_scores_by_hand_and_intervals_over_images() -> None:
    scores = probe_scores(["a", "a", "a", "b"], ["a", "a", "b", "b"], images=["1", "2", "3", "4"])
    assert scores["accuracy"]["value"] == 0.75 and scores["balanced_accuracy"]["value"] == pytest.approx((2 / 3 + 1) / 2)
    low, high = scores["accuracy"]["low"], scores["accuracy"]["high"]
    assert low is not None and high is not None and 0 <= low < 0.75 < high <= 1
    assert probe_scores(["a", "b"], ["a", "a"], images=["1", "1"])["accuracy"] == {"value": 0.5, "low": None, "high": None}


def test_wrong_requests_are_refused(train: LabelledVectors) -> None:
    with pytest.raises(ConfigError, match="expected 1 to 60"):
        nearest_neighbours(train, train.vectors, k=61)
    with pytest.raises(ConfigError, match="positive"):
        linear_probe(train, train.vectors, inverse_penalty=0)
    with pytest.raises(DataError, match="a alone"):
        linear_probe(LabelledVectors(np.ones((2, 3)), ["a", "a"]), np.ones((1, 3)))
    with pytest.raises(DataError, match="2 vectors and 1 labels"):
        LabelledVectors(np.ones((2, 3)), ["a"])
    with pytest.raises(DataError, match="equally many"):
        probe_scores(["a"], [], images=[])
