"""What tests of prediction make: GeoTIFFs of random numbers, and an answer with masks."""

from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

from eocore.predict.answers import Prediction
from eocore.sensors.scene import Georeference, Scene

GRID = (500_000.0, 6_000_000.0)


def write_tif(path: Path, pixels: np.ndarray, *, corner: tuple[float, float] = GRID, gsd_m: float = 10.0, crs: str = "EPSG:32632") -> str:
    count, height, width = pixels.shape
    transform = from_origin(*corner, gsd_m, gsd_m)
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=pixels.dtype, crs=crs, transform=transform
    ) as target:
        target.write(pixels)
    return str(path)


def numbers(count: int, dtype: str, size: tuple[int, int] = (30, 40)) -> np.ndarray:
    low, high = {"uint16": (1, 9000), "uint8": (0, 255), "float32": (-25, -5)}[dtype]
    return np.random.default_rng(0).uniform(low, high, (count, *size)).astype(dtype)


def make_prediction(*, place: bool = True, num_masks: int = 2) -> Prediction:
    reference = Georeference(rasterio.crs.CRS.from_epsg(32632).to_wkt(), (10.0, 0.0, 500_000.0, 0.0, -10.0, 6_000_000.0)) if place else None
    pixels = np.random.default_rng(0).uniform(-20, 0, (2, 30, 40)).astype(np.float32)
    sar = Scene(pixels, ("VV", "VH"), "sentinel1_grd", "sigma0_db", 10.0, reference, "sar.tif")
    masks = np.zeros((num_masks, 30, 40), bool)
    for number, mask in enumerate(masks):
        mask[: 5 * (number + 1), 3:9] = True
    return Prediction("the [SEG]", masks, "sar", {"sar": sar})
