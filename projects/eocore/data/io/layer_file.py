"""What every opened image file is to the readers, whatever its format."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from affine import Affine

from eocore.errors import BandError, DataError
from eocore.sensors.bands import RawUnit
from eocore.sensors.orientation import AS_STORED, Turn


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a file lie.

    Attributes:
        crs: as WKT, "" where the file names none.
        transform: from pixel to CRS.
        misfit_px: how far from there pixels may lie, where the file gives tie points instead of a transform [px].
    """

    crs: str
    transform: Affine
    misfit_px: float = 0.0


class LayerFile(Protocol):
    """An opened file of H x W pixels in C layers.

    Attributes:
        path: for messages.
        size: (height, width) [px].
        names: what the file calls each layer, None where it is silent.
        dtype: of the pixels.
        grid: None for a file that lies nowhere.
        scaling: (scale, offset) of each layer as the file declares them, (1, 0) where it does not; empty for a format that cannot.
        turn: what was done to the stored pixels so that north is up.
        unit_bytes: bytes the decoder must hold at least, however small the window.
        raw_unit: what `read` returns, where the file says it itself; None = numbers that its sensor gives their meaning.
    """

    path: Path
    size: tuple[int, int]
    names: tuple[str | None, ...]
    dtype: np.dtype
    grid: Grid | None
    scaling: tuple[tuple[float, float], ...]
    unit_bytes: int
    raw_unit: RawUnit | None
    turn: Turn

    def read(self, window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        """Pixels (C, h, w) of (row, col, height, width), and (C or 1, h, w) True where valid; None = the file marks nothing invalid."""

    def keep(self, layers: Sequence[int]) -> None:
        """From now on only these layers, counted from 0, are there: `names` and `read` know no others."""

    def close(self) -> None:
        """Hands the file back."""


class OneLayer:
    """What layers of products have in common: one band, float32.

    Args:
        path: of the file, for messages.
        band: its canonical name.
    """

    raw_unit: RawUnit | None = None
    scaling: tuple[tuple[float, float], ...] = ()
    turn = AS_STORED
    dtype = np.dtype(np.float32)

    def __init__(self, path: Path, band: str) -> None:
        self.path = path
        self.names: tuple[str | None, ...] = (band,)
        self.size: tuple[int, int] = (0, 0)
        self.grid: Grid | None = None
        self.unit_bytes = 0

    def keep(self, layers: Sequence[int]) -> None:
        """See `LayerFile.keep`."""
        self.names = tuple(self.names[layer] for layer in layers)


LEFT_OUT = "-"
"""In place of a band's name: a layer that is not read."""


def leave_out(files: Sequence[LayerFile], bands: Sequence[str]) -> tuple[list[LayerFile], tuple[str, ...]]:
    """The files without the layers that `bands` marks by "-", and the names of those that remain.

    Args:
        files: opened; those of which nothing remains are closed.
        bands: a name or "-" for each layer of the files in their order; () = nothing is said.

    Raises:
        BandError: layers are marked, but their number is not that of the files.
    """
    if LEFT_OUT not in bands:
        return list(files), tuple(bands)
    count = sum(len(file.names) for file in files)
    if count != len(bands) or set(bands) == {LEFT_OUT}:
        raise BandError(
            f"{files[0].path}: {count} layers, but `bands` gives {len(bands)} ({', '.join(bands)}). Give each layer one name, or "
            f"'{LEFT_OUT}' to leave it out, and at least one a name."
        )
    remaining, start = [], 0
    for file in files:
        own = bands[start : start + len(file.names)]
        start += len(file.names)
        kept = [layer for layer, name in enumerate(own) if name != LEFT_OUT]
        file.keep(kept)
        if kept:
            remaining.append(file)
        else:
            file.close()
    return remaining, tuple(name for name in bands if name != LEFT_OUT)


def complex_pixels(path: Path, dtype: str) -> DataError:
    """The error for a file of complex numbers."""
    return DataError(
        f"{path}: {dtype} pixels; expected real numbers. Complex radar data (single-look complex) must be made into backscatter first: the "
        "squared magnitude, calibrated."
    )


def broken(path: Path, kind: str, *, error: Exception) -> DataError:
    """The error for a file whose header or pixels cannot be decoded."""
    return DataError(f"{path}: cannot be read as {kind} ({error}); it is damaged, cut short or unusual. Copy or convert it again.")
