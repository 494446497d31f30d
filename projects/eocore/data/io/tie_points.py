"""Tie points (GCPs) of a file that has no transform -> the grid that fits them, which tells where north is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from eocore.data.io.layer_file import Grid
from eocore.errors import DataError

HALF_CIRCLE_DEG = 180.0
LEAST_SPAN = 1e-9
"""Of the second axis of the points, as a share of the first: below, they lie on one line."""
FARTHEST = 1e12
"""No pixel and no place on the Earth has larger coordinates [px, m or degrees]."""


@dataclass(frozen=True)
class TiePoints:
    """Where pixels of an image lie.

    Attributes:
        crs: as WKT, "" where the file names none.
        points: (row, column, x, y, height) of each, from the upper left corner of the image.
    """

    crs: str
    points: tuple[tuple[float, float, float, float, float], ...]

    def __bool__(self) -> bool:
        return bool(self.points)


def fitted_grid(tie_points: TiePoints, path: Path) -> Grid:
    """The affine grid nearest to the points (least squares), and how far in pixels they lie off it.

    Raises:
        DataError: the points span no area, in the image or on the ground, so nothing follows from them.
    """
    points = np.array(tie_points.points, np.float64)
    pixels, ground = points[:, 1::-1], points[:, 2:4]
    if tie_points.crs and CRS.from_wkt(tie_points.crs).is_geographic and np.ptp(ground[:, 0]) > HALF_CIRCLE_DEG:
        ground[ground[:, 0] < 0, 0] += 2 * HALF_CIRCLE_DEG  # the image crosses 180 degrees: longitudes run on
    if not (np.abs(points[:, :4]) < FARTHEST).all() or not (_spans_area(pixels) and _spans_area(ground)):
        raise _no_area(points, path)
    middle, place = pixels.mean(0), ground.mean(0)
    matrix = np.linalg.lstsq(pixels - middle, ground - place, rcond=None)[0].T
    if not _spans_area(np.vstack([matrix.T, -matrix.T])):
        raise _no_area(points, path)
    shift = place - matrix @ middle
    (a, b), (d, e) = matrix.tolist()
    off = np.linalg.solve(matrix, (ground - shift).T).T - pixels
    return Grid(tie_points.crs, Affine(a, b, float(shift[0]), d, e, float(shift[1])), misfit_px=float(np.abs(off).max()))


def _no_area(points: np.ndarray, path: Path) -> DataError:
    return DataError(
        f"{path}: its {len(points)} tie points (GCPs) span no area, so nothing says where it lies and which way is north. Warp it by "
        "right ones (gdalwarp -tps), or remove them (gdal_translate -nogcp) where it is to be read as it is stored."
    )


def _spans_area(points: np.ndarray) -> bool:
    sizes = np.linalg.svd(points - points.mean(0), compute_uv=False)
    return len(points) > 2 and bool(sizes[1] > LEAST_SPAN * sizes[0])
