"""Cloud-optimised GeoTIFFs, written block by block and read back, since GDAL says nothing of a disk that fills up when a file is closed."""

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.shutil import copy
from rasterio.windows import Window as RasterWindow

from eocore.data.records import Window
from eocore.errors import OutputError
from eocore.files import TEMPORARY, writing
from eocore.sensors.scene import Georeference

TILE = 512
"""Side of the tiles in a file [px]; the COG driver's default."""
CACHE_BYTES = 128_000_000
"""Of blocks that GDAL keeps (GDAL_CACHEMAX); its default, a twentieth of the machine's memory, fills with the blocks of a large map."""
COMPRESSION = {"compress": "deflate", "level": 1, "num_threads": "all_cpus"}
"""Level 1 takes 60 % of the time of the default for files that are 1 % larger; bytes are the same with any number of threads."""


@dataclass(frozen=True, kw_only=True)
class Raster:
    """What a raster file holds.

    Attributes:
        height, width: [px].
        dtype: of the numbers.
        nodata: the number of pixels without data.
        georeference: of the grid.
        layers: name of each layer.
        tags: further texts.
        categories: whether numbers are names of classes, which overviews must not average.
    """

    height: int
    width: int
    dtype: str
    nodata: float
    georeference: Georeference
    layers: Sequence[str]
    tags: Mapping[str, str] = field(default_factory=dict)
    categories: bool = False

    @property
    def profile(self) -> dict[str, Any]:
        """As rasterio takes it."""
        return {
            "height": self.height,
            "width": self.width,
            "count": len(self.layers),
            "dtype": self.dtype,
            "nodata": self.nodata,
            "crs": CRS.from_wkt(self.georeference.crs) if self.georeference.crs else None,
            "transform": Affine(*self.georeference.transform),
        }


class CogWriter:
    """Writes a raster in blocks; the file appears, with overviews, when the context ends without an error.

    Args:
        path: of the file.
        raster: what it holds.

    Raises:
        OutputError: it cannot be written, or does not hold what was written.
    """

    def __init__(self, path: Path, raster: Raster) -> None:
        self.path, self.raster = path, raster
        self._plain = path.with_name(f"{path.name}.blocks{TEMPORARY}")
        self._part = path.with_name(f"{path.name}{TEMPORARY}")
        self._sums: dict[Window, int] = {}
        self._target: Any = None

    def __enter__(self) -> "CogWriter":
        options = {"tiled": True, "blockxsize": TILE, "blockysize": TILE, "compress": "deflate", "zlevel": 1, "bigtiff": "if_safer"}
        with writing(self.path, "the map"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._target = rasterio.open(self._plain, "w", driver="GTiff", **options, **self.raster.profile)
            self._target.descriptions = tuple(self.raster.layers)
            self._target.update_tags(**self.raster.tags)
        return self

    def write(self, block: Window, pixels: np.ndarray) -> None:
        """Writes (C, h, w) pixels of a block. Raises OutputError where the disk is full."""
        row, col, height, width = block
        with writing(self.path, "the map"), _told_as_full(self.path):
            self._target.write(pixels, window=RasterWindow(col, row, width, height))
        self._sums[block] = _checksum(pixels)

    def __exit__(self, *raised: object) -> None:
        try:
            with writing(self.path, "the map"), _told_as_full(self.path):
                self._target.close()
                if raised[0] is None:
                    resampling = "nearest" if self.raster.categories else "average"
                    copy(self._plain, self._part, driver="COG", blocksize=TILE, overview_resampling=resampling, **COMPRESSION)
                    self._check()
                    os.replace(self._part, self.path)
        finally:
            for path in (self._plain, self._part):
                path.unlink(missing_ok=True)

    def _check(self) -> None:
        """Raise OutputError unless the file holds every block as it was written."""
        with rasterio.open(self._part) as source:
            for (row, col, height, width), wanted in self._sums.items():
                if _checksum(source.read(window=RasterWindow(col, row, width, height))) != wanted:
                    raise OutputError(
                        f"{self.path}: the file does not hold the pixels that were written to it (rows from {row}, columns from {col}); "
                        "most likely the disk is full or failing. It was removed; free space, then run the same command again."
                    )


@contextmanager
def _told_as_full(path: Path) -> Iterator[None]:
    """Turns what GDAL says of a file that it cannot write into an `OutputError`."""
    try:
        yield
    except RasterioError as error:
        raise OutputError(
            f"{path}: the map cannot be written ({error}). The disk may be full. What was there before is unchanged; free space, then run "
            "the same command again."
        ) from error


def _checksum(pixels: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(pixels).tobytes())
