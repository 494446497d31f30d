"""What every opened image file is to the readers, whatever its format."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from affine import Affine

from eocore.errors import DataError


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a file lie: CRS as WKT ("" where the file names none) and the affine from pixel to CRS."""

    crs: str
    transform: Affine


class LayerFile(Protocol):
    """An opened file of H x W pixels in C layers.

    Attributes:
        path: for messages.
        size: (height, width) [px].
        names: what the file calls each layer, None where it is silent.
        dtype: of the pixels.
        grid: None for a file that lies nowhere.
        unit_bytes: bytes the decoder must hold at least, however small the window.
    """

    path: Path
    size: tuple[int, int]
    names: tuple[str | None, ...]
    dtype: np.dtype
    grid: Grid | None
    unit_bytes: int

    def read(self, window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        """Pixels (C, h, w) of (row, col, height, width), and (C or 1, h, w) True where valid; None = the file marks nothing invalid."""

    def close(self) -> None:
        """Hands the file back."""


def broken(path: Path, kind: str, *, error: Exception) -> DataError:
    """The error for a file whose header or pixels cannot be decoded."""
    return DataError(f"{path}: cannot be read as {kind} ({error}); it is damaged, cut short or unusual. Copy or convert it again.")
