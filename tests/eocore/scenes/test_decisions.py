"""Scores to classes."""

import numpy as np
import pytest

from eocore.errors import ConfigError
from eocore.scenes.decisions import NODATA, NONE_OF_THEM, Decision

NAN = float("nan")


def test_logits_are_probabilities_with_a_threshold() -> None:
    decision = Decision("logits", 0.5)
    scores = np.array([[[2.0, -1.0, NAN]], [[1.0, -2.0, NAN]]], np.float32)
    values = decision.values(scores)
    np.testing.assert_allclose(values[:, 0, 0], [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1))], rtol=1e-6)
    assert decision.classes(values).tolist() == [[1, NONE_OF_THEM, NODATA]]


def test_relative_scores_take_the_best_and_a_threshold_where_one_is_given() -> None:
    scores = np.array([[[0.1, 0.3]], [[0.2, 0.3]]], np.float32)
    assert Decision("relative", None).classes(scores).tolist() == [[2, 1]]  # of equals the first
    assert Decision("relative", 0.25).classes(scores).tolist() == [[NONE_OF_THEM, 1]]


@pytest.mark.parametrize("threshold", [None, 0.0, 1.0])
def test_a_threshold_of_logits_is_a_probability(threshold: float | None) -> None:
    with pytest.raises(ConfigError, match="expected a probability between 0 and 1"):
        Decision("logits", threshold)
