"""A file whose rows do not run south, as layers with north up."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from eocore.data.io.layer_file import Grid, LayerFile
from eocore.sensors.orientation import AS_STORED, Turn, north_up

LEAST_COSINE = 1e-3
"""Of the latitude: at the poles no direction is north."""


class TurnedFile:
    """Layers of another file, turned.

    Args:
        file: as stored, with a grid.
        turn: from stored to turned.
    """

    def __init__(self, file: LayerFile, grid: Grid, *, turn: Turn) -> None:
        self._file, self.turn = file, turn
        self.path: Path = file.path
        self.names: tuple[str | None, ...] = file.names
        self.dtype: np.dtype = file.dtype
        self.unit_bytes, self.raw_unit, self.scaling = file.unit_bytes, file.raw_unit, file.scaling
        self.size = turn.size(file.size)
        self.grid: Grid | None = replace(grid, transform=grid.transform @ turn.to_stored(self.size))

    def read(self, window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        """See `LayerFile.read`."""
        pixels, valid = self._file.read(self.turn.stored_window(window, size=self.size))
        return np.ascontiguousarray(self.turn.apply(pixels)), None if valid is None else self.turn.apply(valid)

    def keep(self, layers: Sequence[int]) -> None:
        """See `LayerFile.keep`."""
        self._file.keep(layers)
        self.names, self.scaling = self._file.names, self._file.scaling

    def close(self) -> None:
        """Hands the file back."""
        self._file.close()


def with_north_up(file: LayerFile) -> LayerFile:
    """The file, or what turns it; a file without a CRS is as it is stored, since nothing says where north is.

    Raises:
        DataError: its grid is rotated too much, see `orientation.north_up`.
    """
    turn = north_up(_on_ground(file.grid, file.size), source=str(file.path)) if file.grid and file.grid.crs else AS_STORED
    return TurnedFile(file, file.grid, turn=turn) if turn and file.grid else file


def _on_ground(grid: Grid, size: tuple[int, int]) -> Affine:
    """The transform with axes of one length on the ground: degrees of longitude are shorter than those of latitude."""
    if not CRS.from_wkt(grid.crs).is_geographic:
        return grid.transform
    _, latitude = grid.transform @ (size[1] / 2, size[0] / 2)
    return Affine.scale(max(float(np.cos(np.deg2rad(latitude))), LEAST_COSINE), 1) @ grid.transform
