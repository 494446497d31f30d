"""Parts of images on the grid of another: read where they lie, and resampled."""

import math
from dataclasses import replace

import numpy as np
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import Resampling, reproject, transform

from eocore.data.io.readers import ground_size_m, read_scene
from eocore.data.records import ImageRef, Window
from eocore.errors import DataError, NoDataError
from eocore.scenes.place import Place
from eocore.sensors.scene import Scene

EDGE_POINTS = 9
"""Of each side of a part, by which it is found in an image of another CRS, where straight sides are curved."""
WARP_ERRORS = (RasterioError, CRSError, CPLE_BaseError)
"""What rasterio raises for CRS that do not go together; the last is GDAL's own, which it does not always turn into one of its own."""
MARGIN_PX = 3
"""Pixels beyond the part that are read, too: resampling looks at neighbours, and sides bend between the points."""


def read_warped(ref: ImageRef, own: Place, *, target: Place) -> Scene | None:
    """An image on the pixels of `target`: bilinear, in its unit, blind to pixels without data; None where it has none there.

    The result of a part is that of the same part of the whole, but for hundredths of a pixel by which GDAL interpolates positions.

    Args:
        ref: of the image.
        own: where it lies.
        target: the pixels.

    Raises:
        DataError: the image cannot be read, or laid there.
    """
    window = find_window(own, target=target, source=ref.paths[0])
    if window is None:
        return None
    top, left = (ref.window or (0, 0))[:2]
    try:
        scene = read_scene(replace(ref, window=(top + window[0], left + window[1], *window[2:])))
    except NoDataError:
        return None
    pixels = warp(scene.pixels, own.part(window), target=target, resampling=Resampling.bilinear, source=ref.paths[0])
    if not np.isfinite(pixels).any():
        return None
    gsd_m = ground_size_m(CRS.from_wkt(target.georeference.crs), target.transform, size=target[:2])
    return replace(scene, pixels=pixels, gsd_m=gsd_m, georeference=target.georeference)


def warp(pixels: np.ndarray, place: Place, *, target: Place, resampling: Resampling, source: str) -> np.ndarray:
    """(C, h, w) pixels of `target`, NaN where there are none.

    Args:
        pixels: (C, H, W) float32, NaN without data.
        place: of the pixels.
        target: the grid to lay them on.
        resampling: how.
        source: file of the pixels, for messages.

    Raises:
        DataError: it cannot be done.
    """
    found = np.full((len(pixels), target.height, target.width), np.nan, np.float32)
    try:
        reproject(
            pixels,
            found,
            src_transform=place.transform,
            src_crs=CRS.from_wkt(place.georeference.crs),
            src_nodata=np.nan,
            dst_transform=target.transform,
            dst_crs=CRS.from_wkt(target.georeference.crs),
            dst_nodata=np.nan,
            resampling=resampling,
        )
    except WARP_ERRORS as error:
        raise DataError(f"{source}: cannot be laid on the grid of the map ({_short(error)}). Choose another grid (--grid).") from error
    return found


def find_window(own: Place, *, target: Place, source: str) -> Window | None:
    """The part of an image in which `target` lies, with a margin; None where it lies outside.

    Args:
        own: where the image lies.
        target: what is looked for.
        source: file of the image, for messages.

    Raises:
        DataError: the CRS do not go together.
    """
    steps = np.linspace(0, 1, EDGE_POINTS)
    sides = np.array([(x, y) for x in steps for y in steps])
    a, b, c, d, e, f = target.transform[:6]
    x, y = sides[:, 0] * target.width, sides[:, 1] * target.height
    crs = CRS.from_wkt(own.georeference.crs)
    try:
        xs, ys = transform(CRS.from_wkt(target.georeference.crs), crs, a * x + b * y + c, d * x + e * y + f)
    except WARP_ERRORS as error:
        raise DataError(
            f"{source}: its CRS cannot be reached from that of the map ({_short(error)}). Choose another grid (--grid)."
        ) from error
    found = np.array([xs, ys])
    if crs.is_geographic:
        found[0] = _unwrapped(found[0], own)
    found = found[:, np.isfinite(found).all(axis=0)]
    if not found.size:
        return None
    columns, rows = _pixels(~own.transform, found)
    margin = MARGIN_PX * max(math.ceil(max(np.ptp(columns) / target.width, np.ptp(rows) / target.height)), 1)
    left, top = max(math.floor(columns.min()) - margin, 0), max(math.floor(rows.min()) - margin, 0)
    right, bottom = min(math.ceil(columns.max()) + margin, own.width), min(math.ceil(rows.max()) + margin, own.height)
    return (top, left, bottom - top, right - left) if bottom > top and right > left else None


def _unwrapped(longitudes: np.ndarray, own: Place) -> np.ndarray:
    """Longitudes as an image counts them, which may go on beyond 180 degrees: each at most half a turn from its middle, or on the image."""
    middle = (own.transform @ (own.width / 2, own.height / 2))[0]
    half = max(180.0, abs(own.transform.a) * own.width / 2)
    turned: np.ndarray = (longitudes - middle + 180) % 360 - 180 + middle
    # so the eastern edge of a map of the world stays its eastern edge
    return np.where(np.abs(longitudes - middle) <= half, longitudes, turned)


def _pixels(inverse: Affine, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b, c, d, e, f = inverse[:6]
    return a * points[0] + b * points[1] + c, d * points[0] + e * points[1] + f


def _short(error: Exception) -> str:
    """Without the definition of the CRS that GDAL adds."""
    return str(error).partition("'{")[0].strip()[:200] or type(error).__name__
