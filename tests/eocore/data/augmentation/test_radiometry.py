"""Brightness in physical units and speckle of known looks; augmented images pass the checks of read ones."""

from dataclasses import replace

import numpy as np
import pytest
from augmented_samples import optical, picture, radar, record_of

from eocore.data.augmentation.radiometry import AddSpeckle, ChangeBrightness, RandomBrightness, RandomSpeckle
from eocore.errors import ConfigError
from eocore.sensors.bands import get_sensor
from eocore.sensors.ranges import check_values


def brightened(**ranges: tuple[float, float]) -> ChangeBrightness:
    return ChangeBrightness(7, **{"reflectance": (1.0, 1.0), "sigma0_db": (0.0, 0.0), "uint8": (1.0, 1.0), **ranges})


def test_reflectance_and_pictures_take_a_factor_and_backscatter_an_offset() -> None:
    np.testing.assert_allclose(brightened(reflectance=(1.2, 1.2)).scene(optical()).pixels, optical().pixels * 1.2, rtol=1e-6)
    np.testing.assert_allclose(brightened(sigma0_db=(-2.0, -2.0)).scene(radar()).pixels, radar().pixels - 2, rtol=1e-5)
    np.testing.assert_array_equal(brightened(uint8=(1.5, 1.5)).scene(picture()).pixels, np.clip(np.rint(picture().pixels * 1.5), 0, 255))
    warm = replace(optical(), unit="kelvin", pixels=optical().pixels + 290)
    assert brightened().scene(warm) is warm


def test_each_image_of_a_record_has_a_number_of_its_own_and_the_same_on_each_reading() -> None:
    change = brightened(reflectance=(0.5, 2.0), sigma0_db=(-6.0, 6.0))
    factor = (change.scene(optical()).pixels / optical().pixels).mean()
    later = replace(optical(), time="2024-05-01")
    assert (change.scene(later).pixels / later.pixels).mean() != pytest.approx(factor, rel=1e-3)
    np.testing.assert_array_equal(change.scene(radar()).pixels, change.scene(radar()).pixels)


@pytest.mark.parametrize("seed", range(6))
def test_snow_and_surf_stay_what_sensors_can_measure(seed: int) -> None:
    change = replace(brightened(reflectance=(0.5, 2.0), sigma0_db=(-6.0, 6.0)), seed=seed)
    bright = replace(optical(), pixels=optical().pixels * 3 + 0.9)
    for scene in (bright, optical(), radar(), replace(radar(), pixels=radar().pixels + 8)):
        pixels = AddSpeckle(seed, 1.0).scene(change.scene(scene)).pixels
        assert np.isfinite(pixels).all() and pixels.dtype == np.float32
        check_values(pixels, get_sensor(scene.sensor), source="x")


@pytest.mark.parametrize("looks", [1.0, 5.0])
def test_speckle_multiplies_power_by_a_gamma_variable_of_mean_1_and_variance_1_by_looks(looks: float) -> None:
    flat = replace(radar(), pixels=np.full((2, 200, 200), -12.0, np.float32))
    power = 10 ** ((AddSpeckle(3, looks).scene(flat).pixels + 12) / 10)
    assert power.mean() == pytest.approx(1, abs=0.02) and power.var() == pytest.approx(1 / looks, rel=0.06)
    assert abs(np.corrcoef(power[0].ravel(), power[1].ravel())[0, 1]) < 0.02  # polarisations by themselves
    assert abs(np.corrcoef(power[0, :, :-1].ravel(), power[0, :, 1:].ravel())[0, 1]) < 0.02


def test_looks_add_up_as_the_docstring_says() -> None:
    rng = np.random.default_rng(0)
    speckled = replace(radar(), pixels=(10 * np.log10(rng.gamma(5, 1 / 5, (2, 300, 300)))).astype(np.float32))
    power = 10 ** (AddSpeckle(1, 8.0).scene(speckled).pixels / 10)
    assert power.mean() ** 2 / power.var() == pytest.approx(1 / (1 / 5 + 1 / 8 + 1 / 40), rel=0.06)


def test_speckle_is_for_backscatter_alone() -> None:
    for scene in (optical(), picture(), replace(picture(), role="sar")):
        assert AddSpeckle(1, 2.0).scene(scene) is scene


def test_draws_follow_the_generator_and_words_stay() -> None:
    record = record_of("<image>\nWhere is the bright roof?", "north")
    for transform in (RandomBrightness(), RandomSpeckle(probability=1.0)):
        first, again, other = (transform(record, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert first == again and first.turns == record.turns and first.augmentation.changes != other.augmentation.changes
    assert RandomSpeckle(probability=0.0)(record, np.random.default_rng(0)) == record


@pytest.mark.parametrize(
    ("make", "match"),
    [(lambda: RandomBrightness(reflectance=(0.1, 1)), "from 0.5 to 2"), (lambda: RandomSpeckle(looks=(0.5, 2)), "from 1 to 1000")],
)
def test_ranges_beyond_what_is_physical_are_refused(make: object, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make()  # type: ignore[operator]
