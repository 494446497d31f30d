"""A regular grid for images that lie in the geometry of the radar: where it is, and the image laid on it.

The positions are those of the product's tie points (GCPs), which follow the terrain only coarsely: there is no terrain correction, and in
mountains pixels lie as far off as the height changes between tie points, times one over the tangent of the incidence angle.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import GCPTransformer
from rasterio.warp import transform

from eocore.data.io.image_files import GeoTiff
from eocore.data.io.layer_file import Grid, LayerFile
from eocore.data.io.products.metadata import Metadata
from eocore.errors import DataError
from eocore.log import get_logger

GROUND_GSD_M = 10.0
"""Pixel spacing of high-resolution GRD products of the IW mode [m]. Source: Sentinel-1 Product Specification."""
FEWEST_POINTS = 4
RELIEF_M = 200.0
"""Heights of tie points that differ by more are told: pixels may then lie some hundred metres off."""
WGS84 = CRS.from_epsg(4326)
PADDING_PX = 2
"""Of the image around what a window needs: bilinear looks at neighbours."""
MAX_SIDE_PX = 1_000_000


@dataclass(frozen=True)
class RadarGrid:
    """The regular grid.

    Attributes:
        grid: CRS and transform.
        size: (height, width) [px].
        points: (P, 4) row, column [px of the image], x, y [m in the CRS].
        image_size: (height, width) of the image [px].
        path: of the image, for messages.
    """

    grid: Grid
    size: tuple[int, int]
    points: np.ndarray
    image_size: tuple[int, int]
    path: Path

    @classmethod
    def of(cls, file: LayerFile, annotation: Metadata, *, gsd_m: float) -> "RadarGrid":
        """The grid of pixels of `gsd_m`, whose edges are multiples of it, in the UTM zone of the image's middle.

        Raises:
            DataError: too few tie points, or such that no grid follows from them.
        """
        points = _tie_points(annotation)
        if not len(points):
            points = _tie_points_of(file)
        if points.size and np.ptp(points[:, 2]) > 180:  # the image crosses 180 degrees: longitudes run on
            points[points[:, 2] < 0, 2] += 360
        _check_points(points, annotation.path)
        crs = _local_crs(float(points[:, 3].mean()), float(points[:, 2].mean()))
        try:
            x, y = transform(WGS84, crs, points[:, 2], points[:, 3])
        except RasterioError as error:
            raise DataError(f"{annotation.path}: the tie points cannot be projected ({error}). Copy or fetch the product again.") from error
        placed = np.column_stack([points[:, :2], x, y])
        if not np.isfinite(placed).all():
            raise DataError(f"{annotation.path}: the tie points lead nowhere on the Earth. Copy or fetch the product again.")
        left, top = np.floor(placed[:, 2].min() / gsd_m) * gsd_m, np.ceil(placed[:, 3].max() / gsd_m) * gsd_m
        width = int(np.ceil((placed[:, 2].max() - left) / gsd_m))
        height = int(np.ceil((top - placed[:, 3].min()) / gsd_m))
        if not 0 < max(width, height) <= MAX_SIDE_PX:
            raise DataError(
                f"{annotation.path}: the tie points span {height} x {width} px of {gsd_m:g} m. Copy or fetch the product again."
            )
        return cls(Grid(crs.to_wkt(), Affine(gsd_m, 0, left, 0, -gsd_m, top)), (height, width), placed, file.size, file.path)

    def source_positions(self, window: tuple[int, int, int, int]) -> np.ndarray:
        """(2, h, w) row and column [px of the image, from its upper left corner] of the middle of each pixel of a window of the grid.

        Raises:
            DataError: the tie points lead nowhere.
        """
        row, col, height, width = window
        columns, rows = np.meshgrid(col + 0.5 + np.arange(width), row + 0.5 + np.arange(height))
        a, _, left, _, e, top = self.grid.transform[:6]
        try:
            with GCPTransformer(self._control_points(), tps=True) as geometry:  # GDAL's own warping rounds to an eighth of a pixel
                found = geometry.rowcol((left + a * columns).ravel(), (top + e * rows).ravel(), op=lambda value: value)
        except RasterioError as error:
            raise DataError(
                f"{self.path}: cannot be laid on a grid by its tie points ({error}). Correct its terrain beforehand."
            ) from error
        return np.array(found, np.float64).reshape(2, height, width)

    def source_window(self, positions: np.ndarray) -> tuple[int, int, int, int] | None:
        """The part (row, col, height, width) of the image that these positions need; None where all lie beside it."""
        low = np.clip(np.floor(positions.min((1, 2))).astype(np.int64) - PADDING_PX, 0, self.image_size)
        high = np.clip(np.ceil(positions.max((1, 2))).astype(np.int64) + PADDING_PX, 0, self.image_size)
        if (high <= low).any():
            return None
        return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])

    def _control_points(self) -> list[GroundControlPoint]:
        return [GroundControlPoint(row, col, x, y) for row, col, x, y in self.points.tolist()]


def sample_bilinear(image: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Values between pixels.

    Args:
        image: (H, W) float32, NaN where there is no data.
        positions: (2, h, w) row and column, from the upper left corner of the image.

    Returns:
        (h, w) float32; the mean of the known among the four nearest pixels, weighted by nearness; NaN beside the image and where none is
        known or the nearest is not.
    """
    height, width = image.shape
    rows, columns = positions - 0.5  # counted between the middles of pixels
    top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    down, right = rows - top, columns - left
    total, weights = np.zeros(rows.shape), np.zeros(rows.shape)
    for step_down, weight_down in ((0, 1 - down), (1, down)):
        for step_right, weight_right in ((0, 1 - right), (1, right)):
            row, column = np.clip(top + step_down, 0, height - 1), np.clip(left + step_right, 0, width - 1)
            value, weight = image[row, column], weight_down * weight_right
            known = np.isfinite(value)
            total += np.where(known, value, 0) * weight
            weights += known * weight
    nearest = np.floor(positions).astype(np.int64)
    inside = (nearest >= 0).all(0) & (nearest[0] < height) & (nearest[1] < width)
    nearest_known = np.isfinite(image[np.clip(nearest[0], 0, height - 1), np.clip(nearest[1], 0, width - 1)])
    found = np.where(inside & nearest_known, total / np.maximum(weights, np.finfo(np.float32).tiny), np.nan)
    return found.astype(np.float32)


def _tie_points(annotation: Metadata) -> np.ndarray:
    """(P, 5) line, pixel, longitude, latitude [deg] and height [m] of the annotation."""
    names = ("line", "pixel", "longitude", "latitude", "height")
    found = [[annotation.number(name, below=point) for name in names] for point in annotation.all("geolocationGridPoint")]
    return np.array(found, np.float64).reshape(-1, len(names))


def _tie_points_of(file: LayerFile) -> np.ndarray:
    """The same of the image file itself, where its own are in degrees."""
    if not isinstance(file, GeoTiff) or not file.tie_points.crs or not CRS.from_wkt(file.tie_points.crs).is_geographic:
        return np.zeros((0, 5))
    return np.array(file.tie_points.points, np.float64).reshape(-1, 5)


def _check_points(points: np.ndarray, path: Path) -> None:
    """Raise DataError unless there are enough points, on the Earth, that span an area in the image and on the ground."""
    spread = [np.linalg.matrix_rank(pair - pair.mean(0), tol=1e-6) for pair in (points[:, :2], points[:, 2:4])] if len(points) else [0, 0]
    on_earth = bool(len(points)) and bool((np.abs(points[:, 3]) <= 90).all() and (np.abs(points[:, 2]) <= 540).all())
    if len(points) < FEWEST_POINTS or min(spread) < 2 or not on_earth or len(np.unique(points[:, :2], axis=0)) < len(points):
        raise DataError(
            f"{path}: {len(points)} tie points (<geolocationGridPoint>) that span no area; the image lies in the geometry of the radar and "
            "cannot be laid on a grid. Fetch the product again, or correct its terrain with a radar toolbox and give the GeoTIFF."
        )
    if np.ptp(points[:, 4]) > RELIEF_M:
        how = "%s: heights differ by %.0f m and radar images are read without terrain correction: slopes lie up to hundreds of metres off"
        get_logger().warning(how, path, np.ptp(points[:, 4]))


def _local_crs(latitude: float, longitude: float) -> CRS:
    """UTM, or UPS beyond its ends at 84 N and 80 S, on WGS 84."""
    if latitude > 84 or latitude < -80:
        return CRS.from_epsg(32661 if latitude > 0 else 32761)
    zone = int(((longitude + 180) % 360) // 6) + 1
    return CRS.from_epsg((32600 if latitude >= 0 else 32700) + zone)
