"""Class scores and embeddings beside a predictions file: a line names them by file, position and digest.

A running rank appends to `predictions.*.f32`, plain little-endian float32; a finished run has one `vectors.npy`, one-dimensional.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, NonNegativeInt
from typing_extensions import TypedDict

from eocore.errors import DataError
from eocore.json_fields import CLOSED

VECTORS = "vectors.npy"
"""Of a finished run, beside predictions.jsonl."""
SHARD_SUFFIX = ".f32"
ITEM = np.dtype("<f4")
DIGEST_LENGTH = 16
"""Hexadecimal digits of a digest: 64 bits tell bytes that were changed or mixed up, for a fraction of the file's size."""


def _no_folder(name: str) -> str:
    if not name or name != os.path.basename(name):
        raise ValueError("expected the name of a file beside the predictions")
    return name


class VectorFields(TypedDict):
    """As a line holds a `VectorRef`."""

    __pydantic_config__ = CLOSED  # type: ignore[misc]
    file: Annotated[str, AfterValidator(_no_folder)]
    start: NonNegativeInt
    shape: tuple[NonNegativeInt, ...]
    sha256: str


@dataclass(frozen=True)
class VectorRef:
    """Where the numbers of one line are.

    Attributes:
        file: name, in the folder of the predictions file.
        start: index of the first number.
        shape: of the array.
        sha256: first digits of the digest of its bytes.
        folder: of the predictions file; not written.
    """

    file: str
    start: int
    shape: tuple[int, ...]
    sha256: str
    folder: Path = field(default=Path(), compare=False)

    @property
    def end(self) -> int:
        """Index after the last number."""
        return self.start + prod(self.shape)

    def describe(self) -> dict[str, Any]:
        """As the line holds it."""
        return {"file": self.file, "start": self.start, "shape": list(self.shape), "sha256": self.sha256}

    def load(self) -> np.ndarray:
        """The array, float32.

        Raises:
            DataError: the file is missing or shorter than it was, or holds other numbers at that position.
        """
        path = self.folder / self.file
        try:
            state = path.stat()
        except OSError as error:
            raise DataError(f"{path}: no such file, but a predictions file beside it needs it ({error}). Copy both together.") from error
        values = np.array(_open(path, state.st_size, time_ns=state.st_mtime_ns)[self.start : self.end])
        if len(values) != self.end - self.start or digest(values) != self.sha256:
            raise DataError(
                f"{path}: the numbers {self.start} to {self.end} are not those of the predictions file beside it; scores would be of "
                "others. Copy both files of one run together, or run the evaluation again."
            )
        return values.reshape(self.shape)


@lru_cache(maxsize=8)
def _open(path: Path, size: int, *, time_ns: int) -> np.ndarray:
    """(n,) float32 on disk. Size and time of the file tell apart its states."""
    if not size:
        return np.zeros(0, ITEM)
    if path.suffix == SHARD_SUFFIX:
        whole = size - size % ITEM.itemsize
        return np.memmap(path, ITEM, mode="r", shape=(whole // ITEM.itemsize,)) if whole else np.zeros(0, ITEM)
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no file of numbers ({error}). Run the evaluation again, or merge its shards.") from error
    if found.ndim != 1 or found.dtype != ITEM:
        raise DataError(f"{path} holds {found.dtype} of shape {found.shape}; expected one row of float32. It is not of an evaluation.")
    return found


def digest(values: np.ndarray) -> str:
    """First digits of the SHA-256 of the numbers as little-endian float32."""
    return hashlib.sha256(np.ascontiguousarray(values, ITEM).tobytes()).hexdigest()[:DIGEST_LENGTH]


class VectorFile:
    """Appends arrays to a file of float32 that is opened with the first of them.

    Args:
        path: of the file.
        num_kept: numbers in it that lines refer to; what follows them was written by a run that stopped before it wrote the line.
    """

    def __init__(self, path: Path, *, num_kept: int) -> None:
        self._path, self._length = path, num_kept
        self._file: Any = None

    def append(self, values: np.ndarray) -> VectorRef:
        """Writes an array and returns where it is. Raises OSError where the disk is full."""
        if self._file is None:
            self._path.touch()
            self._file = self._path.open("r+b")
            self._file.truncate(self._length * ITEM.itemsize)
            self._file.seek(0, os.SEEK_END)
        packed = np.ascontiguousarray(values, ITEM)
        self._file.write(packed.tobytes())
        self._file.flush()
        ref = VectorRef(self._path.name, self._length, packed.shape, digest(packed), self._path.parent)
        self._length = ref.end
        return ref

    def close(self) -> None:
        """Closes the file; nothing is waiting to be written."""
        if self._file is not None:
            self._file.close()


def merge_vectors(refs: Sequence[VectorRef | None], folder: Path) -> tuple[np.ndarray, list[VectorRef | None]]:
    """All numbers one after the other, and where each reference's lie in them.

    Args:
        refs: of the lines in their order.
        folder: where `VECTORS` will be.

    Raises:
        DataError: numbers are missing or changed.
    """
    parts, start = [np.zeros(0, ITEM)], 0
    moved: list[VectorRef | None] = []
    for ref in refs:
        if ref is None:
            moved.append(None)
            continue
        parts.append(ref.load().reshape(-1))
        moved.append(VectorRef(VECTORS, start, ref.shape, ref.sha256, folder))
        start += parts[-1].size
    return np.concatenate(parts), moved
