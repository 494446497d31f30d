"""Whether scenes can be laid over each other."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from rasterio.crs import CRS

from eocore.errors import DataError
from eocore.sensors.scene import Georeference, Scene

SAME_LOCATION_PX = 0.5
"""Corners may lie half a coarser pixel apart: grids of one product can be laid on pixel centres or corners."""


def check_same_location(scenes: Sequence[Scene]) -> None:
    """Raise DataError unless all scenes show the same ground.

    Raises:
        DataError: they differ in CRS, in bounds, or, where one says nothing of its location, in shape.
    """
    for scene, other in pairwise(scenes):
        where = f"{scene.path or scene.role} and {other.path or other.role}"
        if scene.georeference and other.georeference:
            _check_crs(scene.georeference, other.georeference, where=where)
            _check_bounds(scene, other, where=where)
        elif abs(scene.size[0] * other.size[1] - scene.size[1] * other.size[0]) > max(*scene.size, *other.size):
            raise DataError(
                f"{where} are {scene.size} and {other.size} px (height, width): shapes that cannot show the same location, so what "
                "is seen in one would be matched with another location of the other. Cut them to one extent."
            )


def check_same_crs(scenes: Sequence[Scene]) -> None:
    """Raise DataError unless all georeferenced scenes are in one coordinate system."""
    for scene, other in pairwise(scene for scene in scenes if scene.georeference):
        _check_crs(scene.georeference, other.georeference, where=f"{scene.path or scene.role} and {other.path or other.role}")


def _check_crs(first: Georeference | None, second: Georeference | None, *, where: str) -> None:
    if first is None or second is None or first.crs == second.crs:
        return
    systems = [CRS.from_wkt(reference.crs) for reference in (first, second)]
    if systems[0] != systems[1]:
        names = ", ".join(system.to_string()[:60] for system in systems)
        raise DataError(
            f"{where} are in different coordinate systems ({names}), so their pixels would be laid over each other wrongly. Warp one to "
            "the grid of the other."
        )


def _check_bounds(scene: Scene, other: Scene, *, where: str) -> None:
    (corners, edge), (other_corners, other_edge) = _outline(scene), _outline(other)
    apart = float(np.abs(corners - other_corners).max()) / max(edge, other_edge)
    if apart > SAME_LOCATION_PX:
        raise DataError(
            f"{where} do not cover the same ground: their corners lie up to {apart:.1f} pixels apart, so what is seen in one would be "
            "matched with another location of the other. Cut them to one extent."
        )


def _outline(scene: Scene) -> tuple[np.ndarray, float]:
    """(4, 2) corners, and the longer edge of a pixel, in units of the CRS."""
    a, b, c, d, e, f = scene.georeference.transform if scene.georeference else (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    height, width = scene.size
    corners = np.array([(a * x + b * y + c, d * x + e * y + f) for x, y in ((0, 0), (width, 0), (0, height), (width, height))])
    return corners, max(float(np.hypot(a, d)), float(np.hypot(b, e)))
