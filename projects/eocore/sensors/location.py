"""Whether scenes can be laid over each other."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from rasterio.crs import CRS
from rasterio.warp import transform

from eocore.errors import DataError
from eocore.sensors.scene import Scene

SAME_LOCATION_PX = 0.5
"""Corners may lie half a coarser pixel apart: grids of one product can be laid on pixel centres or corners."""

_NODES = tuple((x / 2, y / 2) for y in range(3) for x in range(3))
"""Corners, middles of the edges and centre, as fractions of width and height."""


def check_same_location(scenes: Sequence[Scene]) -> None:
    """Raise DataError unless all scenes show the same ground: each is compared with each.

    Raises:
        DataError: they differ in CRS, in bounds, or, where one of two says nothing of its location or CRS, in shape.
    """
    for scene, other in ((scenes[i], scenes[j]) for j in range(len(scenes)) for i in reversed(range(j))):
        where = f"{scene.path or scene.role} and {other.path or other.role}"
        if scene.georeference and other.georeference and bool(_crs(scene)) == bool(_crs(other)):
            _check_ground(scene, other, where=where)
        elif abs(scene.size[0] * other.size[1] - scene.size[1] * other.size[0]) > max(*scene.size, *other.size):
            raise DataError(
                f"{where} are {scene.size} and {other.size} px (height, width): shapes that cannot show the same location, so what is seen "
                "in one would be matched with another location of the other. Cut them to one extent."
            )


@lru_cache(maxsize=1024)
def same_crs(first: str, second: str) -> bool:
    """Whether two WKT texts name one coordinate system; "" names none, which is no other's."""
    return first == second or bool(first and second and CRS.from_wkt(first) == CRS.from_wkt(second))


def _check_ground(scene: Scene, other: Scene, *, where: str) -> None:
    crs, other_crs = _crs(scene), _crs(other)
    points, edge = _outline(scene)
    other_points, other_edge = _outline(other)
    if not same_crs(crs, other_crs):
        other_points, other_edge = _warped(other_points, source=other_crs, target=crs), edge * scene.size[1] / other.size[1]
    apart = float(np.abs(points - other_points).max()) / max(edge, other_edge)
    allowed = SAME_LOCATION_PX + max(_misfit_px(scene), _misfit_px(other))
    if apart <= allowed:
        return
    if not same_crs(crs, other_crs):
        names = ", ".join(CRS.from_wkt(text).to_string()[:60] for text in (crs, other_crs))
        raise DataError(
            f"{where} are in different coordinate systems ({names}), so their pixels would be laid over each other wrongly. Warp one to "
            "the grid of the other."
        )
    low, high = (np.abs(end(points) - end(other_points)).max() / max(edge, other_edge) for end in (_lowest, _highest))
    if max(low, high) <= allowed:
        raise DataError(
            f"{where} cover the same ground in unlike orientation: the rows or columns of one run against those of the other, so north "
            "would be matched with south or east with west. Turn one to the orientation of the other (gdalwarp makes it north-up)."
        )
    raise DataError(
        f"{where} do not cover the same ground: their corners lie up to {apart:.1f} pixels apart, so what is seen in one would be "
        "matched with another location of the other. Cut them to one extent."
    )


def _lowest(points: np.ndarray) -> np.ndarray:
    return points.min(0)


def _highest(points: np.ndarray) -> np.ndarray:
    return points.max(0)


def _crs(scene: Scene) -> str:
    return scene.georeference.crs if scene.georeference else ""


def _misfit_px(scene: Scene) -> float:
    return scene.georeference.misfit_px if scene.georeference else 0.0


def _warped(points: np.ndarray, *, source: str, target: str) -> np.ndarray:
    """(P, 2) points in another coordinate system, infinite where that has none for them; one ground may be written in two."""
    try:
        return np.stack(transform(CRS.from_wkt(source), CRS.from_wkt(target), points[:, 0], points[:, 1]), axis=1)
    except Exception:  # rasterio hands on PROJ's and GDAL's errors, which share no public class
        return np.full_like(points, np.inf)


def _outline(scene: Scene) -> tuple[np.ndarray, float]:
    """(9, 2) points of the grid, and the longer edge of a pixel, in units of the CRS."""
    a, b, c, d, e, f = scene.georeference.transform if scene.georeference else (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    height, width = scene.size
    points = np.array([(a * x * width + b * y * height + c, d * x * width + e * y * height + f) for x, y in _NODES])
    return points, max(float(np.hypot(a, d)), float(np.hypot(b, e)))
