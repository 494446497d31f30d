"""Small pictures of items, of whole images and of windows of them."""

import io
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from eocore.predict.image_files import ImageFile
from eocore.serve.views.chips import chip_png


def test_a_window_is_drawn_alone(tmp_path: Path) -> None:
    pixels = np.zeros((3, 40, 60), np.uint8)
    pixels[0, 8:16, 20:40] = 200
    place = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_000_000, 10, 10)}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", height=40, width=60, count=3, dtype="uint8", **place) as target:
        target.write(pixels)
    whole = np.asarray(Image.open(io.BytesIO(chip_png({"rgb": ImageFile((str(tmp_path / "a.tif"),), "rgb_uint8")}))))
    assert whole.shape == (40, 60, 4)
    part = ImageFile((str(tmp_path / "a.tif"),), "rgb_uint8", window=(8, 20, 8, 20))
    found = np.asarray(Image.open(io.BytesIO(chip_png({"rgb": part}))))
    assert found.shape == (8, 20, 4) and (found[..., 0] == 200).all()
