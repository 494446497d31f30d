"""Digital numbers become physical units, and numbers that cannot be what the sensor says are refused."""

import numpy as np
import pytest

from eocore.errors import DataError
from eocore.sensors.bands import get_sensor
from eocore.sensors.scaling import correct_sun_elevation, nodata_to_nan, power_to_db, to_canonical


def test_sentinel2_reflectance_and_nodata() -> None:
    digital = np.array([0, 1, 1452, 10_000, 20_000], np.uint16)
    expected = [np.nan, 0.0001, 0.1452, 1.0, 2.0]
    np.testing.assert_allclose(to_canonical(digital, get_sensor("sentinel2_l2a"), source="x"), expected, rtol=1e-6)


def test_sentinel2_offset_of_the_newer_baseline() -> None:
    """1452 -> (1452 - 1000) / 10000; below 1000 the reflectance is negative, as the product means it; 0 stays no data."""
    digital = np.array([0, 900, 1452], np.uint16)
    np.testing.assert_allclose(
        to_canonical(digital, get_sensor("sentinel2_l2a_pb0400"), source="x"), [np.nan, -0.01, 0.0452], rtol=1e-5, equal_nan=True
    )


def test_landsat_examples_of_the_product_guide() -> None:
    """The USGS page on Collection 2 scale factors works out 18639 -> 0.313 and 44947 -> 302.6 K."""
    reflectance = to_canonical(np.array([0, 18_639], np.uint16), get_sensor("landsat8_l2"), source="x")
    kelvin = to_canonical(np.array([0, 44_947], np.uint16), get_sensor("landsat9_l2_thermal"), source="x")
    np.testing.assert_allclose(reflectance, [np.nan, 0.313], atol=5e-4)
    np.testing.assert_allclose(kelvin, [np.nan, 302.6], atol=5e-2)


def test_landsat_level1_and_the_sun() -> None:
    reflectance = to_canonical(np.array([0, 10_000], np.uint16), get_sensor("landsat8_l1"), source="x")
    np.testing.assert_allclose(reflectance, [np.nan, 0.1], rtol=1e-5)
    np.testing.assert_allclose(correct_sun_elevation(reflectance, sun_elevation_deg=30.0), [np.nan, 0.2], rtol=1e-5)
    with pytest.raises(DataError, match=r"sun elevation -3\.0 deg: expected above 0 up to 90\. Take SUN_ELEVATION"):
        correct_sun_elevation(reflectance, sun_elevation_deg=-3.0)


def test_power_to_db() -> None:
    power = np.array([1.0, 0.1, 0.001, 0.0, np.nan], np.float64)
    decibel = to_canonical(power, get_sensor("sentinel1_grd_linear"), source="x")
    np.testing.assert_allclose(decibel, [0.0, -10.0, -30.0, np.nan, np.nan], atol=1e-5)
    assert np.isnan(power_to_db(np.array([-0.5, 1.0]))).tolist() == [True, False]


def test_a_tile_without_any_power_is_no_data_not_an_error() -> None:
    assert np.isnan(to_canonical(np.zeros(4, np.float32), get_sensor("sentinel1_rtc_linear"), source="x")).all()


def test_infinite_and_oversized_values_are_no_data() -> None:
    values = nodata_to_nan(np.array([np.inf, -np.inf, np.nan, -1.7976931348623157e308, 3.0]))
    assert values.dtype == np.float32
    assert np.isnan(values).tolist() == [True, True, True, True, False]


def test_display_pictures_pass_unchanged() -> None:
    digital = np.arange(256, dtype=np.uint8)
    assert (to_canonical(digital, get_sensor("rgb_uint8"), source="x") == digital).all()


def test_the_input_is_not_changed() -> None:
    digital = np.array([0.0, 500.0], np.float32)
    to_canonical(digital, get_sensor("sentinel2_l2a"), source="x")
    assert digital.tolist() == [0.0, 500.0]


@pytest.mark.parametrize(
    ("digital", "sensor", "message"),
    [
        (np.ones(2, np.complex64), "sentinel1_grd_linear", r"f\.tif: complex64 pixels; expected real numbers.*squared magnitude"),
        (np.ones(2, np.uint8), "sentinel2_l2a", r"uint8 pixels, but sentinel2_l2a holds 16-bit digital numbers.*rgb_uint8 or grey_uint8"),
        (np.ones(2, np.uint16), "rgb_uint8", r"uint16 pixels, but rgb_uint8 holds uint8 pictures made for display.*stretch them"),
        (np.array([0.1, 0.4]), "sentinel2_l2a", r"largest value 0\.4, but sentinel2_l2a holds digital numbers in the thousands"),
        (np.array([-12.5, -20.0]), "sentinel1_rtc_linear", r"no value above 0.*never negative.*name sensor sentinel1_rtc\."),
        (np.array([120, 300], np.uint16), "sentinel1_grd", r"uint16 pixels, but sentinel1_grd holds floating-point db values.*Calibrate"),
        (np.array([120, 300], np.uint16), "sentinel2_l2a_reflectance", r"uint16 pixels.*floating-point physical values"),
    ],
)
def test_numbers_that_cannot_be_of_the_sensor_are_refused(digital: np.ndarray, sensor: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        to_canonical(digital, get_sensor(sensor), source="f.tif")


def test_digital_numbers_held_as_floats_are_accepted_even_where_dark() -> None:
    dark = np.array([0.0, 1.0, 2.0], np.float32)
    np.testing.assert_allclose(to_canonical(dark, get_sensor("sentinel2_l2a"), source="x"), [np.nan, 1e-4, 2e-4], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32])
def test_whole_numbers_are_missing_only_where_they_are_nodata(dtype: type) -> None:
    digital = np.array([0, 1, np.iinfo(dtype).max, np.iinfo(dtype).min, 7], dtype)
    assert np.array_equal(nodata_to_nan(digital), digital.astype(np.float32))
    expected = digital.astype(np.float32)
    expected[digital == 7] = np.nan
    assert np.array_equal(nodata_to_nan(digital, 7), expected, equal_nan=True)
