"""Images inside Zarr zip files (Zarr version 2), and inside tar shards of such files, as SSL4EO-S12 v1.1 and TerraMesh are published.

Nothing of a file is run: arrays of Python objects and codecs other than plain compression are refused, and a chunk that is not there is an
error instead of the fill value that Zarr would read.
"""

import io
import json
import math
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import IO, Any

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from eocore.data.io.layer_file import Grid, broken
from eocore.errors import ConfigError, DataError
from eocore.sensors.bands import RawUnit
from eocore.sensors.orientation import AS_STORED
from eocore.text import some_of

KIND = "Zarr"
PIXELS = "bands"
DIMENSIONS = {5: ("sample", "time", "band", "y", "x"), 4: ("time", "band", "y", "x")}
"""Of a file of many samples, and of one sample in a shard. Source: README of DLR-MF-DAS/SSL4EO-S12-v1.1, ssl4eos12_dataset.py."""
COMPRESSORS = ("blosc", "zlib", "gzip", "zstd", "lz4")
"""That only decompress; among the others of numcodecs is pickle, which runs code."""
MAX_SMALL_NUMBERS = 1_000_000
"""Largest array besides the pixels: names and coordinates."""
MAX_METADATA_BYTES = 4_000_000
SHARD_SUFFIX = ".tar"


class ZarrImage:
    """One image of a Zarr zip file or shard; see `eocore.data.io.layer_file.LayerFile`.

    Args:
        path: of a Zarr zip file of many samples, or of a tar file of Zarr zip files of one sample each.
        item: "SAMPLE/TIME" in the first, "MEMBER/TIME" in the second; TIME counts from 0.

    Raises:
        DataError: there is no such image, the file is damaged, or of another layout.
        ConfigError: the library is not installed.
    """

    raw_unit: RawUnit | None = None
    scaling: tuple[tuple[float, float], ...] = ()
    turn = AS_STORED

    def __init__(self, path: Path, item: str) -> None:
        self.path, self._item = path, item
        with self._opened() as arrays:
            shape, dtype, chunks = arrays.layout(PIXELS)
            expected = DIMENSIONS.get(len(shape))
            dimensions = arrays.dimensions(PIXELS)
            if expected is None or dimensions != expected or dtype.kind not in "iuf":
                raise DataError(
                    f"{path} [{item}]: the array '{PIXELS}' is {dtype} of {shape} {dimensions or ''}; expected numbers of "
                    f"{' or '.join(', '.join(names) for names in DIMENSIONS.values())}. Is it a file of SSL4EO-S12 v1.1?"
                )
            self._index = self._find(arrays, shape)
            names = np.atleast_1d(arrays.read("band"))
            if len(names) != shape[-3] or names.dtype.kind != "U":
                raise DataError(f"{path} [{item}]: {len(names)} names of bands for {shape[-3]} layers. Fetch the file again.")
            self.names: tuple[str | None, ...] = tuple(map(str, names))
            self.size: tuple[int, int] = (shape[-2], shape[-1])
            self.dtype = np.dtype(np.float32) if dtype == np.float16 else dtype
            self.unit_bytes = math.prod(chunks) * dtype.itemsize
            self.grid: Grid | None = self._grid(arrays)
        self._kept: list[int] | slice = slice(None)

    def read(self, window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        """See `LayerFile.read`. Nothing is marked invalid."""
        row, col, height, width = window
        with self._opened() as arrays:
            pixels = arrays.read(PIXELS, self._index)
        return pixels[self._kept, row : row + height, col : col + width].astype(self.dtype), None

    def keep(self, layers: Sequence[int]) -> None:
        """See `LayerFile.keep`."""
        self._kept, self.names = list(layers), tuple(self.names[layer] for layer in layers)

    def close(self) -> None:
        """Nothing stays open."""

    @contextmanager
    def _opened(self) -> "Iterator[_Arrays]":
        try:
            with open_archive(self.path, self._item.rpartition("/")[0]) as archive:
                yield _Arrays(archive, f"{self.path} [{self._item}]")
        except (DataError, ConfigError):
            raise
        except Exception as error:  # zipfile, numcodecs and zarr raise many kinds for damaged files
            raise broken(self.path, KIND, error=error) from error

    def _find(self, arrays: "_Arrays", shape: tuple[int, ...]) -> tuple[int, ...]:
        """Position of the image in the leading dimensions."""
        sample, _, time = self._item.rpartition("/")
        if not time.isdecimal() or int(time) >= shape[-4]:
            raise DataError(f"{self.path} [{self._item}]: time {time!r}, but the file holds times 0 to {shape[-4] - 1}. Correct time_id.")
        if len(shape) == 4:
            return (int(time),)
        samples = [str(name) for name in np.atleast_1d(arrays.read("sample"))]
        if samples.count(sample) != 1:
            raise DataError(
                f"{self.path} [{self._item}]: {samples.count(sample)} samples of the file are '{sample}', expected one; it holds "
                f"{some_of(samples)}. Captions and images are of different releases or splits: fetch those that belong together."
            )
        return samples.index(sample), int(time)

    def _grid(self, arrays: "_Arrays") -> Grid | None:
        """From the coordinates of pixel centres in UTM, where the file has them."""
        if not all(name in arrays for name in ("x_", "y_", "crs")):
            return None
        sample = self._index[:-1]
        across, down = (np.asarray(arrays.read(name, sample), np.float64) for name in ("x_", "y_"))
        code = int(np.asarray(arrays.read("crs", sample)))
        steps = (float(across[-1] - across[0]) / (len(across) - 1), float(down[-1] - down[0]) / (len(down) - 1))
        corner = (float(across[0]) - steps[0] / 2, float(down[0]) - steps[1] / 2)
        return Grid(CRS.from_epsg(code).to_wkt(), Affine(steps[0], 0.0, corner[0], 0.0, steps[1], corner[1]))


class _Arrays:
    """The arrays of an opened Zarr zip file."""

    def __init__(self, archive: zipfile.ZipFile, source: str) -> None:
        self._archive, self._source = archive, source
        self._names = set(archive.namelist())

    def __contains__(self, name: str) -> bool:
        return f"{name}/.zarray" in self._names

    def layout(self, name: str) -> tuple[tuple[int, ...], np.dtype, tuple[int, ...]]:
        """Shape, type and chunk shape. Raises DataError where there is no such array, or it is none of plain numbers or texts."""
        meta = self._meta(name)
        return tuple(meta["shape"]), np.dtype(meta["dtype"]), tuple(meta["chunks"])

    def dimensions(self, name: str) -> tuple[str, ...]:
        """Names of the dimensions, as xarray writes them; () = none."""
        member = f"{name}/.zattrs"
        return tuple(self._json(member).get("_ARRAY_DIMENSIONS", ())) if member in self._names else ()

    def read(self, name: str, index: tuple[int, ...] = ()) -> np.ndarray:
        """The part of an array at a position of its leading dimensions; only its chunks are read."""
        shape, _, chunks = self.layout(name)
        if name != PIXELS and math.prod(shape) > MAX_SMALL_NUMBERS:
            raise DataError(f"{self._source}: '{name}' holds {math.prod(shape)} numbers, more than names and coordinates are.")
        spans: list[tuple[int, ...]] = [(position // size,) for position, size in zip(index, chunks, strict=False)]
        spans += [tuple(range(-(-length // size))) for length, size in zip(shape[len(index) :], chunks[len(index) :], strict=True)]
        separator = self._meta(name).get("dimension_separator", ".")
        keys = [f"{name}/{separator.join(map(str, position)) or '0'}" for position in product(*spans)]
        missing = [key for key in keys if key not in self._names]
        if missing:
            raise DataError(
                f"{self._source}: {len(missing)} of {len(keys)} chunks are not in the file ({some_of(missing)}); zeros would be read for "
                "them. Fetch the file again."
            )
        return np.asarray(_open_array({key: self._archive.read(key) for key in [f"{name}/.zarray", *keys]}, name)[index])

    def _meta(self, name: str) -> Mapping[str, Any]:
        if name not in self:
            found = sorted({member.partition("/")[0] for member in self._names if "/" in member})
            raise DataError(f"{self._source}: no Zarr array '{name}' of format 2; found {some_of(found)}. Is it SSL4EO-S12 v1.1?")
        meta = self._json(f"{name}/.zarray")
        compressor = meta.get("compressor")
        if meta.get("filters") or np.dtype(meta["dtype"]).hasobject or (compressor and compressor.get("id") not in COMPRESSORS):
            raise DataError(
                f"{self._source}: '{name}' is stored as {meta['dtype']} with {compressor}, filters {meta.get('filters')}; only plain "
                f"arrays compressed by {', '.join(COMPRESSORS)} are read, since others can run code. Convert the file."
            )
        return meta

    def _json(self, member: str) -> Mapping[str, Any]:
        if self._archive.getinfo(member).file_size > MAX_METADATA_BYTES:
            raise DataError(f"{self._source}: {member} is larger than {MAX_METADATA_BYTES} bytes. Fetch the file again.")
        found: Mapping[str, Any] = json.loads(self._archive.read(member))
        return found


def _open_array(members: Mapping[str, bytes], name: str) -> Any:
    """The array of these members, by zarr."""
    try:
        import zarr
        from zarr.core.buffer import default_buffer_prototype
    except ImportError as error:
        raise ConfigError("Zarr files need zarr 3. Install the extra: pip install 'eocore-earthmind[zarr]'.") from error
    make = default_buffer_prototype().buffer.from_bytes
    store = zarr.storage.MemoryStore({key: make(content) for key, content in members.items()}, read_only=True)
    return zarr.open_array(store, path=name, mode="r", zarr_format=2)


@contextmanager
def open_archive(path: Path, member: str) -> Iterator[zipfile.ZipFile]:
    """The Zarr zip file at `path`, or the member of that name of a tar shard.

    Raises:
        DataError: the shard has no such member.
    """
    if path.suffix != SHARD_SUFFIX:
        with zipfile.ZipFile(path) as archive:
            yield archive
        return
    found = shard_members(path).get(member)
    if found is None:
        raise DataError(f"{path}: no member '{member}'. Make the index of the shards again (tools/prepare/ssl4eo.py).")
    with path.open("rb") as file, zipfile.ZipFile(_Section(file, found)) as archive:
        yield archive


def sample_of_member(path: Path, member: str) -> str:
    """Id of the sample that a member of a shard is of. Raises DataError where it is damaged, or of several samples."""
    source = f"{path} [{member}]"
    try:
        with open_archive(path, member) as archive:
            samples = np.atleast_1d(_Arrays(archive, source).read("sample"))
    except (DataError, ConfigError):
        raise
    except Exception as error:  # as in `ZarrImage`
        raise broken(path, f"{KIND} [{member}]", error=error) from error
    if samples.shape != (1,):
        raise DataError(f"{source}: holds {samples.size} samples, expected one. Is it a shard of SSL4EO-S12 v1.1?")
    return str(samples[0])


def shard_members(path: Path) -> Mapping[str, tuple[int, int]]:
    """Name -> (offset, length) [bytes] of the members of a tar file, read once while the file stays as it is.

    Raises:
        DataError: it is no tar file, or cut short.
    """
    status = path.stat()
    return _members(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _members(path: Path, size: int, _changed_ns: int) -> Mapping[str, tuple[int, int]]:
    try:
        with tarfile.open(path, "r:") as shard:
            found = {each.name.removeprefix("./"): (each.offset_data, each.size) for each in shard if each.isreg() and not each.issparse()}
    except (tarfile.TarError, OSError) as error:
        raise broken(path, "a tar shard", error=error) from error
    short = [name for name, (offset, length) in found.items() if offset + length > size]
    if short:
        raise DataError(f"{path}: cut short inside {some_of(short)}. Fetch it again.")
    return found


class _Section(io.RawIOBase, IO[bytes]):
    """Part of a file, as a file of its own."""

    def __init__(self, file: IO[bytes], span: tuple[int, int]) -> None:
        self._file, (self._offset, self._length), self._position = file, span, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence])
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        rest = max(0, self._length - self._position)
        self._file.seek(self._offset + self._position)
        content = self._file.read(rest if size is None or size < 0 else min(size, rest))
        self._position += len(content)
        return content
