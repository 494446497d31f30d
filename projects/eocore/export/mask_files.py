"""Masks as files: PNG for looking at, GeoTIFF for laying over a map."""

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from PIL import Image

from eocore.sensors.scene import Georeference

PNG_SET = 255


def write_mask_png(path: Path, mask: np.ndarray) -> None:
    """Writes an (H, W) bool mask as grey PNG, 255 where set."""
    Image.fromarray(mask.astype(np.uint8) * PNG_SET).save(path)


def write_mask_tif(path: Path, mask: np.ndarray, georeference: Georeference) -> None:
    """Writes an (H, W) bool mask as GeoTIFF of one uint8 layer, 1 where set, deflated; 0 is a value, not a lack of data."""
    height, width = mask.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=1,
        dtype="uint8",
        crs=georeference.crs,
        transform=Affine(*georeference.transform),
        compress="deflate",
    ) as target:
        target.write(mask.astype(np.uint8), 1)
