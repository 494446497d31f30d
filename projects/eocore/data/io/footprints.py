"""Outlines on the globe, in longitude and latitude (WGS 84)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

HALF_TURN, TURN = 180.0, 360.0


def outline(ring: Sequence[Sequence[float]]) -> "BaseGeometry":
    """The polygon of a ring; one over the antimeridian becomes two that meet there, as RFC 7946, section 3.1.9 asks.

    Args:
        ring: [longitude, latitude] of its corners. Where they lie more than half a turn apart the short way round is meant.
    """
    from shapely import MultiPolygon, Polygon
    from shapely.affinity import translate
    from shapely.geometry import box

    longitudes = [point[0] for point in ring]
    if max(longitudes) - min(longitudes) <= HALF_TURN:
        return Polygon(ring)
    whole = Polygon([(x + TURN if x < 0 else x, y) for x, y in ring])
    east = whole.intersection(box(0, -90, HALF_TURN, 90))
    west = translate(whole.intersection(box(HALF_TURN, -90, TURN, 90)), -TURN)
    return MultiPolygon([part for part in (east, west) if isinstance(part, Polygon) and not part.is_empty])
