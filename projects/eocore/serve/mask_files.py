"""Masks of an answer as files for other programs: GeoJSON polygons, GeoTIFF layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.features import shapes
from rasterio.io import MemoryFile
from rasterio.warp import transform_geom

from eocore.errors import DataError
from eocore.serve.requests import MaskGrid

WGS84 = CRS.from_epsg(4326)
EQUAL_AREA = CRS.from_epsg(6933)
"""In which areas are measured: WGS 84 / NSIDC EASE-Grid 2.0 Global, cylindrical, of equal area."""
DIGITS = 7
"""Of degrees: a centimetre. Source: RFC 7946, section 11.2."""


def mask_features(masks: np.ndarray, grid: MaskGrid, *, phrases: Sequence[str]) -> dict[str, Any]:
    """A GeoJSON FeatureCollection (RFC 7946, WGS 84): a feature for each mask, with `mask`, `phrase`, `pixels` and `area_m2`.

    Args:
        masks: (K, H, W) bool.
        grid: where they lie.
        phrases: of the K masks.

    Raises:
        DataError: the image lies nowhere: GeoJSON has degrees alone.
    """
    crs, transform = _place(grid)
    features = []
    for number, (mask, phrase) in enumerate(zip(masks, phrases, strict=True)):
        outlines = [shapely.geometry.shape(outline) for outline, _ in shapes(mask.astype(np.uint8), mask=mask, transform=transform)]
        geometry = shapely.geometry.mapping(shapely.geometry.MultiPolygon(outlines))
        area = shapely.geometry.shape(transform_geom(crs, EQUAL_AREA, geometry)).area if outlines else 0.0
        degrees = transform_geom(crs, WGS84, geometry, antimeridian_cutting=True, precision=DIGITS) if outlines else None
        properties = {"mask": number, "phrase": phrase, "pixels": int(mask.sum()), "area_m2": round(area, 1)}
        features.append({"type": "Feature", "properties": properties, "geometry": degrees})
    return {"type": "FeatureCollection", "features": features}


def geotiff(masks: np.ndarray, grid: MaskGrid, *, phrases: Sequence[str]) -> bytes:
    """A GeoTIFF with a uint8 layer for each mask, 1 where set, described by its phrase; without a place where the image has none.

    Args:
        masks: (K, H, W) bool, K at least 1.
        grid: where they lie.
        phrases: of the K masks.

    Raises:
        DataError: there is no mask.
    """
    if not len(masks):
        raise DataError("the answer holds no mask, and a GeoTIFF needs a layer. Ask in words that name something to segment.")
    height, width = grid.size
    place = {"crs": grid.crs or None, "transform": Affine(*grid.transform)} if grid.transform is not None else {}
    profile = {"driver": "GTiff", "height": height, "width": width, "count": len(masks), "dtype": "uint8", "compress": "deflate"}
    with rasterio.Env(GDAL_PAM_ENABLED=False), MemoryFile() as memory:
        with memory.open(**profile, **place) as target:
            target.write(masks.astype(np.uint8))
            for number, phrase in enumerate(phrases, start=1):
                target.set_band_description(number, phrase or f"mask {number}")
        content: bytes = memory.read()
    return content


def _place(grid: MaskGrid) -> tuple[CRS, Affine]:
    if grid.transform is None or not grid.crs:
        raise DataError("the image does not say where it lies, and GeoJSON holds degrees alone. Ask for a GeoTIFF, or send a GeoTIFF.")
    return CRS.from_wkt(grid.crs), Affine(*grid.transform)
