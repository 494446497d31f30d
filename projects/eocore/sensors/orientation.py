"""How stored rows and columns lie on the ground, and what turns them so that rows run south and columns east."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
from affine import Affine

from eocore.errors import DataError

MOST_ROTATION_DEG = 15.0
"""Largest angle between columns and grid north [degrees]: words for directions, of which there are eight, stay true within 22.5. Grids that
are rotated more would need resampling."""


@dataclass(frozen=True)
class Turn:
    """Stored pixels -> pixels with north up: axes exchanged, then rows and columns reversed; each only where said."""

    transpose: bool = False
    reverse_rows: bool = False
    reverse_cols: bool = False

    def __bool__(self) -> bool:
        return self.transpose or self.reverse_rows or self.reverse_cols

    def size(self, stored: tuple[int, int]) -> tuple[int, int]:
        """(height, width) after the turn of an image of `stored` (height, width)."""
        return (stored[1], stored[0]) if self.transpose else stored

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """(..., H, W) stored -> turned."""
        turned = pixels.swapaxes(-1, -2) if self.transpose else pixels
        return turned[..., :: -1 if self.reverse_rows else 1, :: -1 if self.reverse_cols else 1]

    def undo(self, pixels: np.ndarray) -> np.ndarray:
        """(..., H, W) turned -> stored."""
        stored = pixels[..., :: -1 if self.reverse_rows else 1, :: -1 if self.reverse_cols else 1]
        return stored.swapaxes(-1, -2) if self.transpose else stored

    def stored_window(self, window: tuple[int, int, int, int], *, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(row, col, height, width) of the stored pixels that `window` of the turned image shows.

        Args:
            window: of the turned image.
            size: (height, width) of the turned image.
        """
        row, col, height, width = window
        row = size[0] - row - height if self.reverse_rows else row
        col = size[1] - col - width if self.reverse_cols else col
        return (col, row, width, height) if self.transpose else (row, col, height, width)

    def turned_window(self, window: tuple[int, int, int, int], *, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The inverse of `stored_window`; `size` is again that of the turned image."""
        row, col, height, width = (window[1], window[0], window[3], window[2]) if self.transpose else window
        row = size[0] - row - height if self.reverse_rows else row
        col = size[1] - col - width if self.reverse_cols else col
        return row, col, height, width

    def to_stored(self, size: tuple[int, int]) -> Affine:
        """From (x, y) of the turned image of `size` (height, width) to (x, y) of the stored one."""
        height, width = size
        x_factor, x_shift = (-1, width) if self.reverse_cols else (1, 0)
        y_factor, y_shift = (-1, height) if self.reverse_rows else (1, 0)
        straight = Affine(x_factor, 0, x_shift, 0, y_factor, y_shift)
        return Affine(0, 1, 0, 1, 0, 0) @ straight if self.transpose else straight


AS_STORED = Turn()
_TURNS = tuple(Turn(*choice) for choice in product((False, True), repeat=3))


def north_up(transform: Affine, *, source: str) -> Turn:
    """The turn after which rows run south and columns east, as nearly as multiples of 90 degrees and mirroring allow.

    Args:
        transform: from stored pixels to the CRS.
        source: the file, for messages.

    Raises:
        DataError: the grid is rotated or sheared by more than `MOST_ROTATION_DEG` even then.
    """
    angles = [_off_north(transform @ turn.to_stored((1, 1))) for turn in _TURNS]
    best = min(range(len(_TURNS)), key=angles.__getitem__)
    if angles[best] > MOST_ROTATION_DEG:
        raise DataError(
            f"{source}: its grid is rotated or sheared by {angles[best]:.0f} degrees, so up is not north and words for directions would be "
            f"wrong; up to {MOST_ROTATION_DEG:.0f} degrees are read. Resample it to a grid with north up (gdalwarp or rio warp)."
        )
    return _TURNS[best]


def _off_north(transform: Affine) -> float:
    """The larger angle [degrees] between columns and east, and between rows and south."""
    a, b, _, d, e, _ = transform[:6]
    east, south = np.arctan2(d, a), np.arctan2(-b, -e)
    return float(np.rad2deg(max(abs(east), abs(south))))


def stored_transform(transform: Affine, size: tuple[int, int], *, turn: Turn) -> Affine:
    """From stored pixels to the CRS, of a grid whose turned pixels lie by `transform`; `size` (height, width) is the turned one."""
    return transform @ ~turn.to_stored(size)


class Turnable(Protocol):
    """A scene, as far as its orientation goes."""

    @property
    def turn(self) -> Turn:
        """What was done to the stored pixels."""

    @property
    def path(self) -> str:
        """The file."""


def check_as_stored(scenes: Iterable[Turnable], *, source: str) -> None:
    """Raise DataError if a scene was turned, where annotations are numbers that count stored pixels and cannot be turned with it."""
    turned = next((scene.path for scene in scenes if scene.turn), None)
    if turned is not None:
        raise DataError(
            f"{source}: the rows of {turned} do not run south, so it was turned, but boxes that are written as numbers count its stored "
            "pixels and would lie elsewhere. Write the raster with north up (gdalwarp or rio warp) and its boxes with it, or give masks."
        )
