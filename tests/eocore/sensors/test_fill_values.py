"""Numbers for no data that no file declares, and zeros of reflectance; of sensors as they are read: test_ranges.py."""

import numpy as np
import pytest

from eocore.errors import DataError
from eocore.sensors.bands import get_sensor
from eocore.sensors.fill_values import blank_zeros, check_fills


def check(layers: np.ndarray, sensor: str, *, scaling: list[tuple[float, float]] | None = None) -> None:
    ends = {"lowest": layers.min(1), "highest": layers.max(1)}
    check_fills(layers.astype(np.float32), get_sensor(sensor), **ends, scaling=scaling, source="f.tif")


def numbers(low: float, high: float, *, last: float, count: int = 1) -> np.ndarray:
    """(3, 1000) numbers, the last `count` of each layer being `last`."""
    made = np.random.default_rng(0).uniform(low, high, (3, 1000))
    made[:, 1000 - count :] = last
    return made


@pytest.mark.parametrize(
    ("sensor", "low", "high", "last"),
    [
        ("sentinel2_l2a", 100, 3000, -1),
        ("sentinel2_l2a", 100, 3000, 65535),
        ("sentinel1_grd_linear", 0.001, 0.4, 99999),
        ("sentinel1_rtc_linear", 0.001, 0.4, 9999),
        ("sentinel2_l2a_reflectance", 0.01, 0.4, 6.5535),
        ("sentinel2_l2a_reflectance", 0.01, 0.4, 6.4535),
    ],
)
def test_one_number_in_all_layers_of_a_pixel_stands_for_no_data(sensor: str, low: float, high: float, last: float) -> None:
    with pytest.raises(DataError, match=rf"3 of 3000 numbers are {last:.7g}, .*{last:.7g} FILE"):
        check(numbers(low, high, last=last), sensor)
    alone = numbers(low, high, last=last)
    alone[1:, -1] = low
    check(alone, sensor)


def test_tags_say_what_integers_are() -> None:
    """Hundredths of dB: -1 is -0.01 dB; a largest number of the type is none."""
    hundredths = numbers(-2500, -100, last=-1, count=20)
    check(hundredths, "sentinel1_grd", scaling=[(0.01, 0.0)] * 3)
    with pytest.raises(DataError, match="60 of 3000 numbers are 32767"):
        check(numbers(-2500, -100, last=32767, count=20), "sentinel1_grd", scaling=[(0.01, 0.0)] * 3)


def test_zeros_of_all_layers_are_blank() -> None:
    pixels = np.array([[[0, 0.1, 0]], [[0, 0, -0.1]]], np.float32)
    blank_zeros(pixels, np.zeros(2))
    assert np.isnan(pixels[:, 0, 0]).all() and np.isfinite(pixels[:, 0, 1:]).all()
    blank_zeros(pixels, np.array([0.0, -0.1]))
    assert np.isnan(pixels[:, 0, 2]).all() and np.isfinite(pixels[:, 0, 1]).all()
