import numpy as np
import pytest

from eocore.evaluate.intervals import RESAMPLES, as_value, quotient, resample


def means(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones_like(values)], axis=1)


def test_interval_of_a_mean_is_that_of_the_central_limit_theorem():
    values = np.random.default_rng(0).normal(0.6, 0.2, size=400)
    drawn = resample(means(values), [str(place) for place in range(400)], if_empty=0.0, seed=1)
    value = as_value(values.mean(), drawn, num_clusters=400)
    half = 1.96 * values.std() / 20
    assert value["low"] == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert value["high"] == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_questions_on_one_image_widen_the_interval():
    values = np.repeat(np.random.default_rng(0).integers(0, 2, size=40), 10).astype(float)
    alone = resample(means(values), [str(place) for place in range(400)], if_empty=0.0, seed=1)
    together = resample(means(values), [str(place // 10) for place in range(400)], if_empty=0.0, seed=1)
    assert together.std() == pytest.approx(alone.std() * np.sqrt(10), rel=0.15)


def test_same_seed_draws_the_same_sets():
    values, names = np.random.default_rng(0).random(50), [str(place) for place in range(50)]
    first, shifted = (resample(means(part), names, if_empty=0.0, seed=3) for part in (values, values + 0.1))
    np.testing.assert_allclose(shifted - first, 0.1)
    assert first.shape == (RESAMPLES,)


def test_quotient_is_of_the_sums():
    parts = np.array([[1.0, 1.0], [0.0, 99.0]])
    assert quotient(parts.sum(axis=0), if_empty=1.0) == pytest.approx(0.01)
    assert quotient(np.zeros(2), if_empty=1.0) == 1.0


def test_one_image_has_no_interval():
    assert as_value(0.5, np.full(RESAMPLES, 0.5), num_clusters=1) == {"value": 0.5, "low": None, "high": None}
