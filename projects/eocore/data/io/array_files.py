"""NPY and NPZ files as layers, sized up before a number is read."""

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eocore.data.io.layer_file import Grid, broken, complex_pixels
from eocore.errors import DataError
from eocore.sensors.bands import RawUnit
from eocore.sensors.orientation import AS_STORED

MAX_BAND_NAME_BYTES = 1024
"""Longest band name of an NPZ, as numpy stores it (4 bytes a character)."""


class ArrayFile:
    """(C, H, W) or (H, W) of an NPY, or of `pixels` in an NPZ, whose optional `bands` names the layers. Never unpickles."""

    grid: Grid | None = None
    raw_unit: RawUnit | None = None
    scaling: tuple[tuple[float, float], ...] = ()
    turn = AS_STORED

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self._kind = path, kind
        shape, self.dtype = self._header()
        if self.dtype.kind == "c":
            raise complex_pixels(path, str(self.dtype))
        if len(shape) not in (2, 3) or 0 in shape or self.dtype.kind not in "iufb":
            raise DataError(f"{path}: array {shape} {self.dtype}; expected numbers of shape (bands, height, width) or (height, width).")
        self.size = (shape[-2], shape[-1])
        count = shape[0] if len(shape) == 3 else 1
        names = self._named(count) if kind == "NPZ" else None
        self.names: tuple[str | None, ...] = names or (None,) * count
        self._kept: list[int] | slice = slice(None)
        self.unit_bytes = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize if kind == "NPZ" else 0

    def read(self, window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        """See `LayerFile.read`. Arrays mark nothing invalid."""
        row, col, height, width = window
        try:
            if self._kind == "NPY":
                pixels = np.load(self.path, mmap_mode="r", allow_pickle=False)
            else:
                with np.load(self.path, allow_pickle=False) as archive:
                    pixels = archive["pixels"]
            layers = pixels.reshape(-1, *self.size)[:, row : row + height, col : col + width][self._kept]
            return np.array(layers, dtype=np.uint8 if self.dtype == bool else None), None
        except Exception as error:
            raise broken(self.path, self._kind, error=error) from error

    def keep(self, layers: Sequence[int]) -> None:
        """See `LayerFile.keep`."""
        self._kept, self.names = list(layers), tuple(self.names[layer] for layer in layers)

    def close(self) -> None:
        """Nothing stays open."""

    def _header(self) -> tuple[tuple[int, ...], np.dtype]:
        try:
            if self._kind == "NPY":
                array = np.load(self.path, mmap_mode="r", allow_pickle=False)
                return array.shape, array.dtype
            with zipfile.ZipFile(self.path) as archive:
                return _member_header(archive, "pixels")
        except KeyError as error:
            raise DataError(f"{self.path}: no array 'pixels'. Save it with numpy.savez(path, pixels=..., bands=...).") from error
        except Exception as error:  # zipfile and numpy's header parser raise many kinds for damaged files
            raise broken(self.path, self._kind, error=error) from error

    def _named(self, count: int) -> tuple[str, ...] | None:
        """Names of the layers, sized up from the header first: a few bytes can unpack to gigabytes of them."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                if "bands.npy" not in archive.namelist():
                    return None
                shape, dtype = _member_header(archive, "bands")
            found = int(np.prod(shape, dtype=np.int64)) if len(shape) < 2 else -1
            if found == count and dtype.kind in "US" and dtype.itemsize <= MAX_BAND_NAME_BYTES:
                with np.load(self.path, allow_pickle=False) as archive:
                    return _as_texts(np.atleast_1d(archive["bands"]))
        except Exception as error:
            raise broken(self.path, self._kind, error=error) from error
        raise DataError(
            f"{self.path}: 'bands' is an array {shape} of {dtype} but 'pixels' has {count} layers. Write one short name a layer."
        )


def _as_texts(names: np.ndarray) -> tuple[str, ...]:
    """The texts of an array of kind U or S. Raises ValueError where they are none: numpy would make texts that end the interpreter."""
    if names.dtype.kind == "S":
        return tuple(bytes(name).decode("ascii") for name in names)
    codes = np.ascontiguousarray(names).view(f"{names.dtype.byteorder}u4")
    if codes.size and int(codes.max()) > sys.maxunicode:
        raise ValueError("names hold numbers that are no characters")
    return tuple(str(name) for name in names)


def _member_header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array of an NPZ, unread. Raises KeyError where there is no such array."""
    with archive.open(f"{name}.npy") as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        return shape, dtype
