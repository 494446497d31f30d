"""Statistics of bands: added up exactly, and far values named with their likely cause."""

import numpy as np
import pytest

from eocore.checks.band_statistics import BandStatistics, describe_odd_bands, measure_bands
from eocore.sensors.scene import Scene


def scene(pixels: np.ndarray, bands: tuple[str, ...], unit: str) -> Scene:
    return Scene(pixels.astype(np.float32), bands, "sentinel2_l2a", unit, role="sar" if unit == "sigma0_db" else "multispectral")


def test_parts_add_up_to_the_whole() -> None:
    pixels = np.random.default_rng(0).uniform(0.0, 0.4, (1, 20, 30))
    pixels[0, 3, 4] = np.nan
    parts = [measure_bands(scene(part, ("B02",), "reflectance"))["multispectral", "B02"] for part in (pixels[:, :7], pixels[:, 7:])]
    whole, known = parts[0] + parts[1], pixels[np.isfinite(pixels)].astype(np.float32)
    assert whole.count == 599 and (whole.lowest, whole.highest) == (known.min(), known.max())
    assert whole.mean == pytest.approx(known.mean(), rel=1e-5) and whole.deviation == pytest.approx(known.std(), rel=1e-4)


@pytest.mark.parametrize(
    ("unit", "low", "high", "said"),
    [
        ("reflectance", 0.02, 0.4, None),
        ("reflectance", 2.0, 4.0, "far from its sensor's 0.005 to 0.8"),
        ("reflectance", 1e-6, 4e-5, "scaled twice"),
        ("sigma0_db", -22.0, -8.0, None),
        ("sigma0_db", 20.0, 60.0, "in another unit"),
        ("kelvin", 280.0, 300.0, None),
        ("kelvin", 8.0, 30.0, "far from its sensor's 220 to 340"),
        ("uint8", 0.0, 3.0, "far from its sensor's 8 to 247"),
    ],
)
def test_what_a_sensor_cannot_measure_is_told(unit: str, low: float, high: float, said: str | None) -> None:
    found = describe_odd_bands(measure_bands(scene(np.linspace(low, high, 64).reshape(1, 8, 8), ("B02",), unit)))
    assert (len(found), [said in text for text in found if said]) == ((1, [True]) if said else (0, []))


def test_exchanged_polarisations_are_told() -> None:
    strong, weak = BandStatistics("sigma0_db", 2, -20.0, 202.0, -11, -9), BandStatistics("sigma0_db", 2, -34.0, 580.0, -18, -16)
    right = {("sar", "VV"): strong, ("sar", "VH"): weak}
    assert describe_odd_bands(right) == []
    wrong = {("sar", "VV"): weak, ("sar", "VH"): strong}
    (found,) = describe_odd_bands(wrong)
    assert "VH is stronger on average (-10 dB) than VV (-17 dB)" in found and "exchanged" in found


def test_a_band_of_one_value_and_one_without_any_are_told() -> None:
    pixels = np.stack([np.full((4, 4), 0.25), np.full((4, 4), np.nan)])
    flat, empty = describe_odd_bands(measure_bands(scene(pixels, ("B02", "B03"), "reflectance")))
    assert "B02 is 0.25 (reflectance) in every pixel" in flat and "B03 has no known value" in empty
