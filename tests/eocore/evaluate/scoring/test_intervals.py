import numpy as np
import pytest

from eocore.evaluate.scoring.intervals import RESAMPLES, Measure, as_value, mean_of, ratio, resample


def means(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones_like(values)], axis=1)


def test_interval_of_a_mean_is_that_of_the_central_limit_theorem():
    values = np.random.default_rng(0).normal(0.6, 0.2, size=400)
    drawn = ratio(resample(means(values), [str(index) for index in range(400)], seed=1))
    value = as_value(values.mean(), drawn, num_clusters=400)
    half = 1.96 * values.std() / 20
    assert value["low"] == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert value["high"] == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_questions_on_one_image_widen_the_interval():
    values = np.repeat(np.random.default_rng(0).integers(0, 2, size=40), 10).astype(float)
    alone = ratio(resample(means(values), [str(index) for index in range(400)], seed=1))
    together = ratio(resample(means(values), [str(index // 10) for index in range(400)], seed=1))
    assert together.std() == pytest.approx(alone.std() * np.sqrt(10), rel=0.15)


def test_same_seed_draws_the_same_sets():
    values, names = np.random.default_rng(0).random(50), [str(index) for index in range(50)]
    first, shifted = (ratio(resample(means(part), names, seed=3)) for part in (values, values + 0.1))
    np.testing.assert_allclose(shifted - first, 0.1)
    assert first.shape == (RESAMPLES,)


def test_ratio_is_of_the_sums_and_unknown_where_nothing_is_counted():
    measure = mean_of([1.0, 0.0], [1.0, 99.0])
    assert measure.of(np.array([0, 1])) == pytest.approx(0.01)
    assert np.isnan(ratio(np.zeros(2)))


def test_any_function_of_sums_can_be_resampled():
    measure = Measure(np.arange(12.0).reshape(4, 3), lambda sums: sums.max(axis=-1))
    assert measure.of(np.array([0, 2])) == 2 + 8
    sums = resample(measure.statistics, ["a", "a", "b", "b"], seed=0)
    assert sums.shape == (RESAMPLES, 3)
    possible = {tuple(2 * measure.statistics[:2].sum(0)), tuple(2 * measure.statistics[2:].sum(0)), tuple(measure.statistics.sum(0))}
    assert {tuple(row) for row in sums} == possible


def test_sets_with_nothing_to_score_are_left_out_of_the_interval():
    value = as_value(0.5, np.array([np.nan, 0.4, 0.6] * 10), num_clusters=3)
    assert value == {"value": 0.5, "low": 0.4, "high": 0.6}


def test_one_image_has_no_interval():
    assert as_value(0.5, np.full(RESAMPLES, 0.5), num_clusters=1) == {"value": 0.5, "low": None, "high": None}
