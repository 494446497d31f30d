"""Where a scene lies."""

from typing import NamedTuple

import numpy as np
from affine import Affine

from eocore.data.records import Window
from eocore.sensors.location import same_crs
from eocore.sensors.scene import Georeference

SAME_GRID_PX = 0.01
"""Transforms nearer than this are of one grid; files write them with rounding errors."""


class Place(NamedTuple):
    """The pixel grid of a scene.

    Attributes:
        height, width: [px].
        georeference: where it lies.
    """

    height: int
    width: int
    georeference: Georeference

    @property
    def transform(self) -> Affine:
        """From pixels to the CRS."""
        return Affine(*self.georeference.transform)

    def part(self, window: Window) -> "Place":
        """The grid of a part."""
        row, col, height, width = window
        moved = (self.transform @ Affine.translation(col, row))[:6]
        return Place(height, width, Georeference(self.georeference.crs, (*moved,)))

    def same_grid(self, other: "Place") -> bool:
        """Whether both are of the same pixels."""
        a, b = np.array(self.georeference.transform), np.array(other.georeference.transform)
        return (
            self[:2] == other[:2]
            and same_crs(self.georeference.crs, other.georeference.crs)
            and bool(np.abs(a - b).max() < SAME_GRID_PX * abs(a[0] or a[1]))
        )

    def __str__(self) -> str:
        a, _, left, _, _, top = self.georeference.transform
        return f"{self.height} x {self.width} px of {a:g} from {left:g}, {top:g}"
