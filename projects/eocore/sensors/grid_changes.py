"""What was done to the pixel grid of a scene after it was read: masks, which count the pixels as read, are taken along."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from eocore.sensors.orientation import Turn

Size = tuple[int, int]
"""(height, width) [px]."""
Shift = tuple[float, float, float, float, float, float]
"""Affine (a, b, c, d, e, f) of rasterio."""


class GridChange(Protocol):
    """One change of a pixel grid."""

    def size(self, before: Size) -> Size:
        """The size after the change."""

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """(h, w) bool: the (H, W) mask after the change."""

    def to_before(self, before: Size) -> Shift:
        """From (x, y) of the changed grid to (x, y) of the grid before, whose size is given."""


@dataclass(frozen=True)
class GridTurn:
    """Mirrored, or turned by a multiple of 90 degrees."""

    turn: Turn

    def size(self, before: Size) -> Size:
        """See `GridChange`."""
        return self.turn.size(before)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """See `GridChange`."""
        return np.ascontiguousarray(self.turn.apply(mask))

    def to_before(self, before: Size) -> Shift:
        """See `GridChange`."""
        a, b, c, d, e, f = self.turn.to_stored(self.turn.size(before))[:6]
        return a, b, c, d, e, f


@dataclass(frozen=True)
class GridCut:
    """A part is left: (row, col, height, width) [px]."""

    window: tuple[int, int, int, int]

    def size(self, before: Size) -> Size:
        """See `GridChange`."""
        return self.window[2], self.window[3]

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """See `GridChange`."""
        row, col, height, width = self.window
        return np.ascontiguousarray(mask[row : row + height, col : col + width])

    def to_before(self, before: Size) -> Shift:
        """See `GridChange`."""
        return 1.0, 0.0, float(self.window[1]), 0.0, 1.0, float(self.window[0])


@dataclass(frozen=True)
class GridResize:
    """Resampled to (height, width) [px]."""

    target: Size

    def size(self, before: Size) -> Size:
        """See `GridChange`."""
        return self.target

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """See `GridChange`; an object finer than the new pixels is the pixel that its middle lies in."""
        height, width = self.target
        resized = np.array(Image.fromarray(mask.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST)).astype(bool)
        return kept_alive(resized, mask)

    def to_before(self, before: Size) -> Shift:
        """See `GridChange`."""
        return before[1] / self.target[1], 0.0, 0.0, 0.0, before[0] / self.target[0], 0.0


def kept_alive(resized: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`resized`, or where that lost the whole of `mask`, the one pixel that the middle of `mask` lies in."""
    if not resized.any() and mask.any():
        rows, cols = np.nonzero(mask)
        row = int((rows.mean() + 0.5) * resized.shape[0] / mask.shape[0])
        col = int((cols.mean() + 0.5) * resized.shape[1] / mask.shape[1])
        resized[min(row, resized.shape[0] - 1), min(col, resized.shape[1] - 1)] = True
    return resized
