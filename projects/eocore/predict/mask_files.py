"""Masks as files: PNG for looking at, GeoTIFF for laying over a map."""

import io
from pathlib import Path

import numpy as np
from affine import Affine
from PIL import Image
from rasterio.io import MemoryFile

from eocore.files import write_file
from eocore.sensors.scene import Georeference

PNG_SET = 255


def write_mask_png(path: Path, mask: np.ndarray) -> None:
    """Writes an (H, W) bool mask as grey PNG, 255 where set."""
    write_png(path, mask.astype(np.uint8) * PNG_SET)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Writes (H, W) or (H, W, 3) uint8 pixels as PNG."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG")
    write_file(path, content.getvalue())


def write_mask_tif(path: Path, mask: np.ndarray, *, georeference: Georeference) -> None:
    """Writes an (H, W) bool mask as GeoTIFF of one uint8 layer, 1 where set, deflated; 0 is a value, not a lack of data."""
    height, width = mask.shape
    profile = {"height": height, "width": width, "count": 1, "dtype": "uint8", "compress": "deflate"}
    with MemoryFile() as memory:  # GDAL itself says nothing of a full disk when it closes a file
        with memory.open(driver="GTiff", crs=georeference.crs or None, transform=Affine(*georeference.transform), **profile) as target:
            target.write(mask.astype(np.uint8), 1)
        write_file(path, memory.read())
