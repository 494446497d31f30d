"""Numbers that a sensor cannot measure are refused; dark water, snow, cities and blank chips are not."""

from collections.abc import Callable

import numpy as np
import pytest

from eocore.errors import DataError
from eocore.sensors.bands import get_sensor
from eocore.sensors.ranges import check_values
from eocore.sensors.scaling import to_canonical

SIDE = 64


def noise(middle: float, spread: float, *, bands: int = 2) -> np.ndarray:
    """(C, H, W) float32 of a normal distribution."""
    return np.random.default_rng(0).normal(middle, spread, (bands, SIDE, SIDE)).astype(np.float32)


def numbers(low: int, high: int, *, bands: int = 12, dtype: str = "uint16") -> np.ndarray:
    """(C, H, W) digital numbers, uniform."""
    return np.random.default_rng(0).integers(low, high, (bands, SIDE, SIDE)).astype(dtype)


def take(digital: np.ndarray, sensor: str) -> np.ndarray:
    """As reading does."""
    pixels = to_canonical(digital, get_sensor(sensor), source="f.tif")
    check_values(pixels, get_sensor(sensor), source="f.tif")
    return pixels


def water_and_land() -> np.ndarray:
    """Twelve bands of Sentinel-2 [DN]: the left half clear water, the right half plants."""
    water = np.array([180, 160, 140, 60, 40, 20, 15, 10, 5, 2, 1, 1])
    plants = np.array([300, 350, 600, 400, 900, 2200, 2600, 2800, 3000, 3100, 1600, 800])
    return np.repeat(np.stack([water, plants], -1)[:, None, :], SIDE, 1).repeat(SIDE // 2, 2).astype(np.uint16)


def framed(pixels: np.ndarray, value: float, *, width: int = 4) -> np.ndarray:
    """The pixels with a border of one value."""
    framed = pixels.copy()
    framed[:, :width] = value
    return framed


@pytest.mark.parametrize(
    ("digital", "sensor"),
    [
        (noise(-24, 1.5), "sentinel1_grd"),  # calm water
        (noise(-32, 3), "sentinel1_rtc"),  # VH at the noise floor
        (noise(-2, 6, bands=1), "sentinel1_grd"),  # a city in VV alone
        (np.full((2, 8, 8), -12, np.float64), "sentinel1_grd"),
        (framed(noise(-12, 3), np.nan, width=62), "sentinel1_grd"),
        (10 ** (noise(-12, 3) / 10), "sentinel1_grd_linear"),
        (framed(10 ** (noise(-25, 3) / 10), 0), "sentinel1_rtc_linear"),
        (10 ** (noise(-25, 3) / 10) - np.float32(0.003), "sentinel1_grd_linear"),  # less its noise: half of it negative
        (water_and_land(), "sentinel2_l2a"),
        (water_and_land()[:, :, : SIDE // 2], "sentinel2_l2a"),  # water alone, nowhere above 255
        (water_and_land()[10:, :, : SIDE // 2], "sentinel2_l2a"),
        (framed(water_and_land(), 0, width=62), "sentinel2_l2a"),
        (framed(water_and_land()[1:4], 10_000, width=40), "sentinel2_l2a"),  # cloud, clipped at reflectance 1 in visible light
        (np.repeat(numbers(200, 3000, bands=1), 12, axis=0), "sentinel2_l2a"),  # a grey picture as twelve bands
        (numbers(9_000, 16_000, dtype="int16"), "sentinel2_l2a"),  # clouds and snow above 1
        (water_and_land() + 1000, "sentinel2_l2a_pb0400"),
        (numbers(960, 1010), "sentinel2_l1c_pb0400"),  # just below the offset
        (np.full((12, 8, 8), 1, np.int16), "sentinel2_l2a"),
        (numbers(40, 62, dtype="float32"), "sentinel2_l2a"),  # a lake as floats
        (framed(10 ** (noise(-12, 3) / 10), 9999.5, width=1), "sentinel1_grd_linear"),  # a ship
        (np.full((12, 8, 8), 800, np.int16), "sentinel2_l2a"),
        (np.zeros((12, 8, 8), np.uint16), "sentinel2_l2a"),
        (water_and_land() / np.float32(1e4), "sentinel2_l2a_reflectance"),
        (np.zeros((12, 8, 8), np.float32), "sentinel2_l2a_reflectance"),
        (numbers(7_300, 7_900, bands=7), "landsat8_l2"),  # dark water, in part below reflectance 0
        (numbers(40_000, 48_000, bands=1), "landsat9_l2_thermal"),
        (numbers(0, 255, bands=3, dtype="uint8"), "rgb_uint8"),
    ],
)
def test_what_sensors_measure_is_read(digital: np.ndarray, sensor: str) -> None:
    assert take(digital, sensor).shape == digital.shape


@pytest.mark.parametrize(
    ("digital", "sensor", "message"),
    [
        (10 ** (noise(-12, 3) / 10), "sentinel1_grd", r"95 % of the image is above .*linear power.*sentinel1_grd_linear.*--sensor"),
        (10 ** (noise(-25, 3) / 10) - np.float32(0.003), "sentinel1_rtc", r"linear power.*name sensor sentinel1_rtc_linear"),
        (np.full((1, 8, 8), 0.08, np.float64), "sentinel1_grd", "linear power"),
        (noise(-1200, 300), "sentinel1_grd", r"cannot be what sentinel1_grd holds.*dB times 10 or 100"),
        (noise(400, 90), "sentinel1_rtc", r"cannot be what sentinel1_rtc holds .*not calibrated"),
        (noise(0, 1), "sentinel1_grd", "95 % of the image is above|95 % above"),  # standardised
        (noise(-12, 3), "sentinel1_grd_linear", r"never negative.*name sensor sentinel1_grd\.|cannot be.*name sensor sentinel1_grd\."),
        (noise(-2, 6), "sentinel1_grd_linear", r"cannot be what sentinel1_grd_linear holds.*in dB, name sensor sentinel1_grd\."),
        (noise(200, 20), "sentinel1_rtc_linear", r"half of the image is above .* dB .*not calibrated"),
        (numbers(0, 256), "sentinel2_l2a", "all numbers are between 0 and 255 .*rgb_uint8 or grey_uint8"),
        (numbers(0, 256, bands=3, dtype="int16"), "sentinel2_l1c", "all numbers are between 0 and 255"),
        (numbers(0, 256, bands=1, dtype="float32"), "sentinel2_l2a", "all numbers are between 0 and 255"),
        (numbers(20_000, 65_000), "sentinel2_l2a", r"half of the image has a reflectance above 4\.\d+.*sentinel2_l2a_pb0400"),
        (water_and_land(), "sentinel2_l2a_pb0400", r"half of layer \d+ has a reflectance below -0\.\d+.*offset.*sentinel2_l2a,"),
        (water_and_land(), "landsat8_l2", r"half of layer \d+ has a reflectance below"),
        (water_and_land() / np.float32(1e4), "sentinel2_l2a", r"largest value .*thousands.*sentinel2_l2a_reflectance"),
        (framed(water_and_land() / np.float32(1e4), 3.0, width=1), "sentinel2_l2a", "largest value"),
        (water_and_land() / np.float32(100), "sentinel2_l2a", r"almost all numbers are below 105.*percent.*sentinel2_l2a_reflectance"),
        (water_and_land() / np.float32(100) + 10, "sentinel2_l2a_pb0400", r"half of layer 1 has|percent"),
        (numbers(2, 41), "sentinel2_l1c", "percent"),  # whole percents
        (noise(40, 5, bands=1), "sentinel2_l2a", r"percent.*rounded to integers"),
        (water_and_land() / np.float32(1e8), "sentinel2_l2a_reflectance", "divided by the scale twice"),
        (water_and_land() / np.float32(1), "sentinel2_l2a_reflectance", r"digital numbers, name sensor sentinel2_l2a"),
        (water_and_land() / np.float32(100), "sentinel2_l1c_reflectance", r"percent"),
        (numbers(100, 3000, bands=1), "landsat8_l2_thermal", r"half of the image is above 15\d\.\d K"),
    ],
)
def test_other_units_are_refused(digital: np.ndarray, sensor: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        take(digital, sensor)


@pytest.mark.parametrize(
    ("digital", "sensor", "fill"),
    [
        (noise(-12, 3), "sentinel1_grd", -9999),
        (noise(-12, 3), "sentinel1_grd", -32768),
        (noise(-12, 3).astype(np.float64), "sentinel1_rtc", 1e20),
        (noise(-12, 3), "sentinel1_rtc", -3.4028235e38),
        (noise(-12, 3), "sentinel1_rtc", -99),
        (10 ** (noise(-12, 3) / 10), "sentinel1_grd_linear", -9999),
        (10 ** (noise(-12, 3) / 10), "sentinel1_grd_linear", 1e20),
        (water_and_land().astype(np.int16), "sentinel2_l2a", -9999),
        (water_and_land().astype(np.int16), "sentinel2_l2a", -32768),
        (water_and_land().astype(np.int16), "sentinel2_l2a", -999),
        (water_and_land().astype(np.int16), "sentinel2_l2a", -1),
        (water_and_land().astype(np.float32), "sentinel2_l1c", -1),
        (10 ** (noise(-12, 3) / 10), "sentinel1_grd_linear", 9999),
        (10 ** (noise(-12, 3) / 10), "sentinel1_rtc_linear", 32767),
        (10 ** (noise(-12, 3, bands=1) / 10), "sentinel1_rtc_linear", 99),
        (water_and_land() / np.float32(1e4), "sentinel2_l2a_reflectance", 6.5535),
        (water_and_land(), "sentinel2_l2a", 10_000),
        (water_and_land() / np.float32(1e4), "sentinel2_l1c_reflectance", 1),
        (water_and_land() / np.float32(1e4), "sentinel2_l1c_reflectance", 3.2767),
        (water_and_land().astype(np.int16), "sentinel2_l2a", 32767),
        (water_and_land(), "sentinel2_l1c", 65535),
        (water_and_land().astype(np.float32), "sentinel2_l2a", 1e20),
        (water_and_land() / np.float32(1e4), "sentinel2_l2a_reflectance", -9999),
        (water_and_land() / np.float32(1e4), "sentinel2_l2a_reflectance", 65535),
        (numbers(8_000, 20_000, bands=7).astype(np.int32), "landsat8_l2", -9999),
        (numbers(8_000, 20_000, bands=7), "landsat9_l1", 65535),
        (numbers(40_000, 48_000, bands=1).astype(np.int32), "landsat9_l2_thermal", -9999),
    ],
)
@pytest.mark.parametrize("width", [1, 40, 60])
def test_fill_values_that_are_not_declared_are_refused(digital: np.ndarray, sensor: str, fill: float, width: int) -> None:
    with pytest.raises(DataError, match=r"f\.tif: (\d+ of \d+ numbers|[\d.]+% of the pixels) are .*fill value.*(--nodata|nodata \(rio)"):
        take(framed(digital, fill, width=width), sensor)


def test_declared_fill_values_are_no_data() -> None:
    digital = framed(noise(-12, 3), -9999)
    pixels = to_canonical(digital, get_sensor("sentinel1_grd"), source="f.tif", valid=digital != -9999)
    assert np.isnan(pixels[:, :4]).all()
    assert np.isfinite(pixels[:, 4:]).all()


def test_zeros_of_scaled_integers_are_not_0_db_either() -> None:
    hundredths = (framed(noise(-14, 2), 0) * 100).astype(np.int16)
    with pytest.raises(DataError, match=r"of the pixels are exactly 0 dB in all layers: a fill value"):
        to_canonical(hundredths, get_sensor("sentinel1_grd"), source="f.tif", scaling=[(0.01, 0.0)] * 2)
    shifted = np.clip((noise(-14, 2) + 30) * 8, 0, 255).astype(np.uint8)
    shifted[:, :4] = 0  # -30 dB, where the range that was stored begins
    low = to_canonical(shifted, get_sensor("sentinel1_grd"), source="f.tif", scaling=[(0.125, -30.0)] * 2)
    assert low[:, :4].max() == -30


def test_zeros_of_a_frame_are_not_0_db() -> None:
    with pytest.raises(DataError, match=r"1\.6% of the pixels are exactly 0 dB in all layers: a fill value"):
        take(framed(noise(-12, 3), 0, width=1), "sentinel1_grd")
    one_layer = noise(-12, 3)
    one_layer[0, 0, 0] = 0
    assert take(one_layer, "sentinel1_grd")[0, 0, 0] == 0


def test_saturated_pixels_are_bright_not_blank() -> None:
    """Sentinel-2 marks them 65535: few, and not in all bands."""
    digital = water_and_land()
    digital[1:4, 5, 5:8] = 65535
    assert take(digital, "sentinel2_l2a")[1, 5, 5] == pytest.approx(6.5535)


def test_single_numbers_below_0_are_dark_water() -> None:
    digital = numbers(2, 20, dtype="int16")
    digital[11, 3, 4:9] = -1
    assert take(digital, "sentinel2_l2a")[11, 3, 4] == pytest.approx(-1e-4)


def test_a_few_unlike_outliers_pass() -> None:
    pixels = noise(0.2, 0.02, bands=3)
    pixels[0, 0, :3] = (-0.4, 11.3, 17.9)
    assert take(pixels, "sentinel2_l2a_reflectance")[0, 0, 1] == pytest.approx(11.3)


@pytest.mark.parametrize("make", [lambda: noise(-12, 3), lambda: water_and_land()])
def test_the_numbers_are_left_as_they_are(make: Callable[[], np.ndarray]) -> None:
    digital = make()
    take(digital, "sentinel1_grd" if digital.dtype.kind == "f" else "sentinel2_l2a")
    np.testing.assert_array_equal(digital, make())
