"""The grid that images of several CRS or pixel sizes are put on."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform_bounds

from eocore.errors import ConfigError, DataError
from eocore.scenes.place import Place
from eocore.scenes.warping import WARP_ERRORS
from eocore.sensors.scene import Georeference
from eocore.text import did_you_mean

TURN_DEG = 360.0
EDGE_POINTS = 21
"""Of each side of an image whose extent in another CRS is looked for; rasterio's own number."""
WHOLE = 1e-6
MOST_PIXELS = 10**11
"""Of a map: as many as 800 tiles of Sentinel-2 at 10 m. More is taken for a size in other units."""


def choose_grid(choice: str, places: Mapping[str, Place]) -> Place:
    """The pixels of a map.

    Args:
        choice: a role, whose image's pixels are taken, or CRS,SIZE: pixels of that size in units of the CRS, at multiples of it, over what
            all images show; so maps of neighbouring scenes fit each other.
        places: role -> where its image lies.

    Raises:
        ConfigError: the choice names no role and no CRS, or no size.
        DataError: the images have no ground in common, less than a pixel of it, or too many.
    """
    if choice in places:
        return places[choice]
    crs, size = _crs_and_size(choice, places)
    left, bottom, right, top = _common(places, crs)
    columns, rows = (
        (math.ceil(left / size - WHOLE), math.floor(right / size + WHOLE)),
        (math.ceil(bottom / size - WHOLE), math.floor(top / size + WHOLE)),
    )
    if columns[1] <= columns[0] or rows[1] <= rows[0]:
        told = "; ".join(f"{role}: {place}" for role, place in places.items())
        if left < right and bottom < top:
            raise DataError(
                f"--grid {choice}: not one pixel of {size:g} fits into what the images show ({told}). SIZE is in units of the CRS, "
                f"{_units(crs)}: give a smaller one."
            )
        raise DataError(f"the images have no ground in common ({told}), so there is nothing to map. Give images of one location.")
    if (columns[1] - columns[0]) * (rows[1] - rows[0]) > MOST_PIXELS:
        raise DataError(
            f"--grid {choice}: a map of {rows[1] - rows[0]} x {columns[1] - columns[0]} pixels of {size:g}; at most "
            f"{MOST_PIXELS:.0e} are made. "
            f"SIZE is in units of the CRS, {_units(crs)}: give a larger one."
        )
    transform = (size, 0.0, columns[0] * size, 0.0, -size, rows[1] * size)
    return Place(rows[1] - rows[0], columns[1] - columns[0], Georeference(crs.to_wkt(), transform))


def _crs_and_size(choice: str, roles: Iterable[str]) -> tuple[CRS, float]:
    """Of CRS,SIZE. Raises ConfigError where it is neither that nor, as the caller knows, a role."""
    name, comma, number = choice.rpartition(",")
    try:
        if not comma:
            raise ValueError("neither the role of an image nor a CRS with a size of pixels")
        crs, size = CRS.from_user_input(name), float(number)
        if not 0 < size < math.inf:
            raise ValueError("no size of pixels")
    except (CRSError, ValueError) as error:
        raise ConfigError(
            f"--grid {choice}: {error}. Expected the role of an image ({', '.join(roles)}), or CRS,SIZE such as EPSG:32633,10."
            f"{did_you_mean(choice, roles)}"
        ) from error
    return crs, size


def _units(crs: CRS) -> str:
    return "degrees" if crs.is_geographic else str(crs.linear_units)


def _common(places: Mapping[str, Place], crs: CRS) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of what all images show; longitudes go on beyond 180 degrees where they cross it."""
    boxes = np.array([_bounds(place, crs) for place in places.values()])
    if crs.is_geographic:
        boxes[:, [0, 2]] -= TURN_DEG * np.round((boxes[:, [0]] - boxes[0, 0]) / TURN_DEG)
    left, bottom = boxes[:, :2].max(axis=0)
    right, top = boxes[:, 2:].min(axis=0)
    return float(left), float(bottom), float(right), float(top)


def _bounds(place: Place, crs: CRS) -> tuple[float, float, float, float]:
    corners = np.array([place.transform @ corner for corner in ((0, 0), (place.width, 0), (0, place.height), (place.width, place.height))])
    box = (*corners.min(axis=0), *corners.max(axis=0))
    try:
        left, bottom, right, top = transform_bounds(CRS.from_wkt(place.georeference.crs), crs, *box, densify_pts=EDGE_POINTS)
    except WARP_ERRORS as error:
        raise DataError(f"an image at {place} cannot be laid into the CRS of --grid ({error}). Choose another.") from error
    if not np.isfinite([left, bottom, right, top]).all():
        raise DataError(f"an image at {place} has no place in the CRS of --grid. Choose another.")
    return left, bottom, right + (TURN_DEG if crs.is_geographic and right < left else 0.0), top
