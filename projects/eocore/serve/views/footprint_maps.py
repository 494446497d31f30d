"""What the map of an index shows: where its items lie, as one picture, and the outlines of some of them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from PIL import Image

LONGER_SIDE_PX = 1024
MARGIN = 0.04
"""Around all items, of the longer side."""
LEAST_DEGREES = 0.02
COLOUR = (36, 110, 70)
SPARSE_ITEMS, SPARSE_REACH_PX = 5000, 3
"""So few items are drawn as dots of 2 x 3 + 1 px."""
FAINTEST, STRONGEST = 70, 220
"""Opacity of a pixel with one item, and of the fullest one."""


@dataclass(frozen=True)
class Density:
    """Where items lie.

    Attributes:
        png: a picture on a grid of longitude and latitude.
        bounds: west, south, east, north of the picture [degrees].
        num_items: that have a place.
    """

    png: bytes
    bounds: tuple[float, float, float, float]
    num_items: int


def density(shapes: np.ndarray) -> Density | None:
    """A picture in which a pixel is the stronger the more items have their centre there; None where no item has a place.

    Args:
        shapes: (N,) geometries in longitude and latitude; None and empty ones have no place.
    """
    there = shapes[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
    if not len(there):
        return None
    boxes = shapely.bounds(there)
    west, south, east, north = _padded(boxes)
    side = max(east - west, north - south)
    width, height = (max(round(LONGER_SIDE_PX * length / side), 1) for length in (east - west, north - south))
    columns = np.clip((boxes[:, [0, 2]].mean(1) - west) / (east - west) * width, 0, width - 1).astype(int)
    rows = np.clip((north - boxes[:, [1, 3]].mean(1)) / (north - south) * height, 0, height - 1).astype(int)
    counts = np.bincount(rows * width + columns, minlength=width * height).reshape(height, width)
    reach = SPARSE_REACH_PX if len(there) <= SPARSE_ITEMS else 1
    for axis in (0, 1):  # the picture is shown at about half its size, where a single pixel cannot be seen
        counts = np.maximum.reduce([np.roll(counts, shift, axis) for shift in range(-reach, reach + 1)])
    strength = np.log1p(counts) / np.log1p(counts.max())
    alpha = np.where(counts > 0, FAINTEST + (STRONGEST - FAINTEST) * strength, 0).astype(np.uint8)
    picture = np.dstack([np.broadcast_to(np.array(COLOUR, np.uint8), (height, width, 3)), alpha])
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="PNG", optimize=True)
    return Density(content.getvalue(), (west, south, east, north), len(there))


def _padded(boxes: np.ndarray) -> tuple[float, float, float, float]:
    """West, south, east, north around (N, 4) boxes."""
    (west, south), (east, north) = boxes[:, :2].min(0).tolist(), boxes[:, 2:].max(0).tolist()
    margin = max(MARGIN * max(east - west, north - south), LEAST_DEGREES)
    return max(west - margin, -180.0), max(south - margin, -90.0), min(east + margin, 180.0), min(north + margin, 90.0)


def outlines(shape: Any) -> list[list[list[float]]]:
    """Rings of [latitude, longitude] of a geometry, as the map takes them; none where it has no area."""
    parts: Sequence[Any] = getattr(shape, "geoms", [shape]) if shape is not None else []
    return [[[y, x] for x, y, *_ in part.exterior.coords] for part in parts if part.geom_type == "Polygon" and not part.is_empty]
