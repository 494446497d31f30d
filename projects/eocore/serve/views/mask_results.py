"""Masks of an answer as overlays, areas and files."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import shapely
from affine import Affine
from PIL import Image, ImageColor
from rasterio.features import shapes
from rasterio.io import MemoryFile

from eocore.errors import ConfigError
from eocore.scenes.polygons import areas_m2, require_geopandas, write_polygons
from eocore.serve.requests import MaskGrid

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

MEDIA_TYPES = {"png": "image/png", "tif": "image/tiff", "geojson": "application/geo+json", "gpkg": "application/geopackage+sqlite3"}
"""Ending -> media type; all but PNG need a georeferenced image."""
FORMAT_TITLES = {"png": "PNG", "tif": "GeoTIFF", "geojson": "GeoJSON", "gpkg": "GeoPackage"}
PLACED = ("tif", "geojson", "gpkg")
HECTARE_M2 = 10_000.0
SQUARE_KILOMETRE_M2 = 1_000_000.0
PNG_SET = 255


def mask_frame(masks: Sequence[np.ndarray], names: Sequence[str], *, grid: MaskGrid) -> "GeoDataFrame":
    """A row for each mask: `label`, `pixels`, `area_m2`, and its outline, a MultiPolygon in the CRS of the image.

    Args:
        masks: (H, W) bool on the pixels of the file.
        names: of the masks.
        grid: where they lie.

    Raises:
        ConfigError: the image is not georeferenced, or the libraries of polygons are not installed.
    """
    import geopandas

    require_geopandas()
    if grid.transform is None or not grid.crs:
        raise ConfigError("this image does not say where it lies, so its masks are no polygons on a map. Take the PNG.")
    transform = Affine(*grid.transform)
    outlines = []
    for mask in masks:
        parts = [shapely.geometry.shape(part) for part, _ in shapes(mask.astype(np.uint8), mask=mask, transform=transform)]
        outlines.append(shapely.MultiPolygon(parts))
    columns = {"label": list(names), "pixels": [int(mask.sum()) for mask in masks]}
    frame = geopandas.GeoDataFrame(columns, geometry=outlines, crs=grid.crs)
    frame.insert(2, "area_m2", areas_m2(frame))
    return frame


def area_m2(mask: np.ndarray, *, grid: MaskGrid) -> float:
    """Ground that a mask covers [m2]: of the map's plane where its CRS is projected, else on an equal-area projection; NaN where the image
    is not georeferenced."""
    if grid.transform is None or not grid.crs:
        return float("nan")
    return float(mask_frame([mask], [""], grid=grid).area_m2.iloc[0])


def describe_area(square_metres: float) -> str:
    """In the unit that people use for such an area; "" for NaN."""
    if np.isnan(square_metres):
        return ""
    if square_metres < HECTARE_M2:
        return f"{square_metres:,.0f} m²"
    if square_metres < 100 * SQUARE_KILOMETRE_M2:
        return f"{square_metres / HECTARE_M2:,.2f} ha"
    return f"{square_metres / SQUARE_KILOMETRE_M2:,.1f} km²"


def overlay_png(mask: np.ndarray, *, colour: str) -> bytes:
    """PNG of a mask in one colour, its border opaque and its inside lighter, clear elsewhere.

    Args:
        mask: (H, W) bool.
        colour: "#rrggbb".
    """
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    numbers = mask.astype(np.uint8) + (mask & ~inside)
    red, green, blue = ImageColor.getrgb(colour)[:3]
    picture = Image.fromarray(numbers)
    picture.putpalette([0, 0, 0, red, green, blue, red, green, blue])
    content = io.BytesIO()
    picture.save(content, format="PNG", transparency=bytes([0, 190, 255]))
    return content.getvalue()


def mask_file(masks: Sequence[np.ndarray], names: Sequence[str], *, grid: MaskGrid, ending: str) -> bytes:
    """Masks as the content of a file: of PNG their union, of GeoTIFF a layer each, of GeoJSON and GeoPackage a feature each.

    Args:
        masks: (H, W) bool on the pixels of the file, at least one.
        names: of the masks.
        grid: where they lie.
        ending: of MEDIA_TYPES.

    Raises:
        ConfigError: there is no such format, or it needs a georeferenced image.
    """
    if ending not in MEDIA_TYPES:
        raise ConfigError(f"masks are not written as '{ending[:20]}'; formats: {', '.join(MEDIA_TYPES)}.")
    if ending == "png":
        content = io.BytesIO()
        Image.fromarray(np.any(masks, axis=0).astype(np.uint8) * PNG_SET).save(content, format="PNG")
        return content.getvalue()
    if grid.transform is None:
        title = FORMAT_TITLES[ending]
        raise ConfigError(f"this image does not say where it lies, so its masks cannot be written as {title}. Take the PNG.")
    if ending == "tif":
        return _geotiff(masks, names, grid=grid)
    with TemporaryDirectory() as folder:
        written = write_polygons(mask_frame(masks, names, grid=grid), Path(folder), formats=[ending], layer="masks")
        return written[0].read_bytes()


def file_stem(text: str) -> str:
    """Letters, digits and hyphens of a text, for the name of a file; "mask" where nothing is left."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:60] or "mask"


def _geotiff(masks: Sequence[np.ndarray], names: Sequence[str], *, grid: MaskGrid) -> bytes:
    """One uint8 layer a mask, 1 where set; 0 is a value, not a lack of data."""
    assert grid.transform is not None
    height, width = masks[0].shape
    profile = {"height": height, "width": width, "count": len(masks), "dtype": "uint8", "compress": "deflate"}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", crs=grid.crs or None, transform=Affine(*grid.transform), **profile) as target:
            target.write(np.stack(masks).astype(np.uint8))
            target.descriptions = tuple(names)
        content: bytes = memory.read()
        return content
