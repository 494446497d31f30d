"""Numbers for no data that no file declares, and zeros of reflectance; of sensors as they are read: test_ranges.py."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from eocore.data.io.readers import read_scene
from eocore.data.records import ImageRef
from eocore.errors import DataError
from eocore.sensors.bands import get_sensor
from eocore.sensors.fill_values import blank_zeros, check_fills
from eocore.sensors.scene import Scene


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


def write_tiff(path: Path, pixels: np.ndarray, *, nodata: float | None = None) -> Path:
    count, height, width = pixels.shape
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_600_000), "nodata": nodata}
    with rasterio.open(path, "w", driver="GTiff", count=count, height=height, width=width, dtype=pixels.dtype.name, **place) as file:
        file.write(pixels)
    return path


def read(path: Path, sensor: str) -> Scene:
    return read_scene(ImageRef("image", sensor, (str(path),)))


BLANK = {
    "declared.tif": (np.full((2, 4, 4), -9999, np.float32), "sentinel1_rtc", -9999),
    "not_a_number.tif": (np.full((2, 4, 4), np.nan, np.float32), "sentinel1_grd", None),
    "zeros.tif": (np.zeros((12, 4, 4), np.uint16), "sentinel2_l2a", None),
    "zero_reflectance.tif": (np.zeros((12, 4, 4), np.float32), "sentinel2_l2a_reflectance", None),
    "white.tif": (np.full((3, 4, 4), 255, np.uint8), "rgb_uint8", 255),
}


@pytest.mark.parametrize("name", BLANK)
def test_images_without_any_data_are_refused(name: str, tmp_path: Path) -> None:
    pixels, sensor, nodata = BLANK[name]
    with pytest.raises(DataError, match=r"none of its 4 x 4 px holds data .*another window, or correct the file's nodata"):
        read(write_tiff(tmp_path / name, pixels, nodata=nodata), sensor)
    seen = pixels.copy()
    seen[:, 0, 0] = {"uint8": 7, "uint16": 700, "float32": -12 if sensor.startswith("sentinel1") else 0.01}[pixels.dtype.name]
    assert np.isfinite(read(write_tiff(tmp_path / name, seen, nodata=nodata), sensor).pixels[0]).sum() == 1, "one pixel is an image"


def test_zero_reflectance_in_all_bands_is_no_data(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).uniform(0.02, 0.4, (12, 8, 8)).astype(np.float32)
    pixels[:, :2], pixels[3, 5, 5] = 0, 0
    known = np.isfinite(read(write_tiff(tmp_path / "a.tif", pixels), "sentinel2_l2a_reflectance").pixels)
    assert not known[:, :2].any() and known[:, 2:].all(), "0 in one band alone is a dark pixel"
    scaled = write_tiff(tmp_path / "b.tif", np.where(pixels == 0, 0, pixels * 10_000 + 1000).astype(np.uint16))
    with rasterio.open(scaled, "r+") as file:
        file.scales, file.offsets = (1e-4,) * 12, (-0.1,) * 12
    found = read(scaled, "sentinel2_l2a_reflectance").pixels
    assert np.isnan(found[:, :2]).all() and np.isfinite(found[:3, 2:]).all()
    names = get_sensor("sentinel2_l2a").band_names[1:3]
    paths = [write_tiff(tmp_path / f"{name}.tif", pixels[index : index + 1]) for index, name in enumerate(names)]
    several = read_scene(ImageRef("multispectral", "sentinel2_l2a_reflectance", tuple(map(str, paths))))
    assert np.isnan(several.pixels).sum() == 2 * 16
