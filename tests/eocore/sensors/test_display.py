"""Scenes as people see them."""

import numpy as np

from eocore.sensors.bands import get_sensor
from eocore.sensors.display import display_image
from eocore.sensors.scene import Scene


def ramp(*, low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, 100, dtype=np.float32).reshape(10, 10)


def test_multispectral_is_shown_in_true_colour() -> None:
    bands = get_sensor("sentinel2_l2a").band_names
    pixels = np.zeros((12, 10, 10), np.float32)
    pixels[bands.index("B04")], pixels[bands.index("B03")] = ramp(low=0.0, high=0.3), ramp(low=0.3, high=0.0)
    picture = display_image(Scene(pixels, bands, "sentinel2_l2a", "reflectance"))
    assert picture.shape == (10, 10, 3) and picture.dtype == np.uint8
    assert picture[0, 0].tolist() == [0, 255, 0] and picture[-1, -1].tolist() == [255, 0, 0]


def test_landsat_has_its_own_red() -> None:
    bands = get_sensor("landsat8_l2").band_names
    pixels = np.zeros((7, 10, 10), np.float32)
    pixels[bands.index("B4")] = ramp(low=0.0, high=0.3)
    assert display_image(Scene(pixels, bands, "landsat8_l2", "reflectance"))[-1, -1].tolist() == [255, 0, 0]


def test_radar_is_grey_and_no_data_black() -> None:
    pixels = np.stack([ramp(low=-20.0, high=0.0), ramp(low=0.0, high=-20.0)])
    pixels[0, 9, 9] = np.nan
    picture = display_image(Scene(pixels, ("VV", "VH"), "sentinel1_grd", "sigma0_db"))
    assert (picture == picture[..., :1]).all()
    assert picture[0, 0, 0] == 0 and picture[9, 8, 0] == 255 and picture[9, 9, 0] == 0


def test_pictures_stay_as_they_are() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 10, 10)).astype(np.float32)
    assert (display_image(Scene(pixels, ("red", "green", "blue"), "rgb_uint8", "uint8")) == pixels.transpose(1, 2, 0)).all()


def test_scene_without_data_is_black() -> None:
    assert not display_image(Scene(np.full((2, 4, 4), np.nan, np.float32), ("VV", "VH"), "sentinel1_grd", "sigma0_db")).any()


def test_flat_scene_is_black() -> None:
    assert not display_image(Scene(np.full((2, 4, 4), -9.0, np.float32), ("VV", "VH"), "sentinel1_grd", "sigma0_db")).any()
