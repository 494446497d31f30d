"""Images that are read part by part and reduced."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from eocore.errors import ConfigError, DataError
from eocore.log import get_logger
from eocore.predict.image_files import ImageFile, read_images
from eocore.predict.large_images import MOST_TILES, check_tiles, read_reduced, reduce_pixels


def write(path: Path, layers: np.ndarray, nodata: int | None = None) -> None:
    profile = {"driver": "GTiff", "count": len(layers), "height": layers.shape[1], "width": layers.shape[2], "dtype": layers.dtype}
    with rasterio.open(path, "w", crs="EPSG:32632", transform=from_origin(5e5, 5e6, 10, 10), nodata=nodata, **profile) as file:
        file.write(layers)


def test_a_large_image_becomes_tiles_of_means_and_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = np.random.default_rng(0).integers(1, 250, (3, 256, 512), np.uint8)
    write(tmp_path / "a.tif", layers)
    files = {"rgb": ImageFile((str(tmp_path / "a.tif"),), sensor="rgb_uint8")}
    told: list[str] = []
    monkeypatch.setattr(get_logger(), "warning", lambda text, *values: told.append(text % values))
    scene = read_reduced(files, num_tiles=8, side=32)["rgb"]
    assert scene.size == (64, 128)
    assert "256 x 512 px are read as 64 x 128, each the mean of 4.0 x 4.0" in told[0]
    np.testing.assert_allclose(scene.pixels, layers.reshape(3, 64, 4, 128, 4).mean((2, 4)), atol=1e-3)
    assert scene.gsd_m == pytest.approx(40)
    assert scene.georeference is not None
    assert scene.georeference.transform == pytest.approx((40, 0, 5e5, 0, -40, 5e6))
    small = read_reduced(files, num_tiles=200, side=128)["rgb"]
    np.testing.assert_array_equal(small.pixels, read_images(files)["rgb"].pixels)


def test_too_many_tiles_are_refused_with_the_reason() -> None:
    check_tiles(MOST_TILES)
    with pytest.raises(ConfigError, match=r"--tiles 100000000: at most 4,096\. Of 256 tokens each, .* fill 131,072 positions"):
        read_reduced({}, num_tiles=100_000_000, side=96)


def test_parts_without_data_stay_empty(tmp_path: Path) -> None:
    layers = np.full((3, 128, 256), 50, np.uint8)
    layers[:, :, 128:] = 0
    write(tmp_path / "a.tif", layers, nodata=0)
    files = {"rgb": ImageFile((str(tmp_path / "a.tif"),), sensor="rgb_uint8")}
    scene = read_reduced(files, num_tiles=2, side=32)["rgb"]
    assert np.isfinite(scene.pixels[:, :, :32]).all()
    assert np.isnan(scene.pixels[:, :, 32:]).all()
    write(tmp_path / "a.tif", np.zeros((3, 128, 256), np.uint8), nodata=0)
    with pytest.raises(DataError, match="no pixel holds data"):
        read_reduced(files, num_tiles=2, side=32)


def test_means_leave_out_what_holds_no_data() -> None:
    pixels = np.array([[[1, np.nan, 3, 3], [1, np.nan, np.nan, np.nan]]], np.float32)
    np.testing.assert_allclose(reduce_pixels(pixels, (1, 2)), [[[1, 3]]])
    assert np.isnan(reduce_pixels(np.full((1, 2, 2), np.nan, np.float32), (1, 1))).all()
