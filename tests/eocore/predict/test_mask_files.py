"""Masks as files."""

from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.crs import CRS

from eocore.predict.mask_files import write_mask_png, write_mask_tif
from eocore.sensors.scene import Georeference

MASK = np.random.default_rng(0).random((7, 11)) > 0.5


def test_png_is_black_and_white(tmp_path: Path) -> None:
    write_mask_png(tmp_path / "mask.png", MASK)
    picture = Image.open(tmp_path / "mask.png")
    assert picture.mode == "L" and (np.asarray(picture) == np.where(MASK, 255, 0)).all()


def test_tif_lies_where_its_image_lies(tmp_path: Path) -> None:
    place = Georeference(CRS.from_epsg(4326).to_wkt(), (0.001, 0.0002, 11.0, 0.0001, -0.001, 48.0))
    write_mask_tif(tmp_path / "mask.tif", MASK, georeference=place)
    with rasterio.open(tmp_path / "mask.tif") as mask:
        assert mask.crs == CRS.from_epsg(4326) and tuple(mask.transform)[:6] == place.transform
        assert (mask.count, mask.dtypes, mask.nodata, mask.compression.name) == (1, ("uint8",), None, "deflate")
        assert (mask.read(1) == MASK).all()
