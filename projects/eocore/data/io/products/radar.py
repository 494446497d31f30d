"""Detected radar images of Sentinel-1: digital numbers -> linear sigma0 by the tables of the annotation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eocore.data.io.layer_file import LayerFile, OneLayer
from eocore.data.io.products.layers import check_tags
from eocore.data.io.products.metadata import Metadata
from eocore.data.io.products.radar_grid import RadarGrid, sample_bilinear
from eocore.errors import DataError
from eocore.sensors.bands import RawUnit

STRIP_PIXELS = 2_000_000
"""Of the grid that are made at once [px]: their positions in the image take 16 bytes each, and some more on the way."""
NODATA_DN = 0
"""Outside of the swath. Source: Sentinel-1 Product Specification."""


class _Table:
    """Vectors of a value along range at some lines of the image, interpolated linearly in both directions, constant beyond the ends.

    Args:
        metadata: holds the vectors.
        vector: element of one.
        value: its element of the values; those of `line` and `pixel` say where they hold.

    Raises:
        DataError: there is no vector, or one is broken.
    """

    def __init__(self, metadata: Metadata, vector: str, *, value: str) -> None:
        vectors = list(metadata.all(vector))
        if not vectors:
            raise DataError(f"{metadata.path}: no <{vector}>; the image cannot be calibrated. Copy or fetch the product again.")
        self._lines = np.array([metadata.number("line", below=element) for element in vectors])
        self._vectors = []
        for element in vectors:
            pixels, values = metadata.numbers("pixel", element), metadata.numbers(value, element)
            if len(pixels) != len(values) or (np.diff(pixels) <= 0).any():
                raise DataError(
                    f"{metadata.path}: a <{vector}> of {len(pixels)} pixels and {len(values)} values; expected as many, in rising order. "
                    "Copy or fetch the product again."
                )
            self._vectors.append((pixels, values))
        if (np.diff(self._lines) <= 0).any():
            raise DataError(f"{metadata.path}: the lines of <{vector}> do not rise. Copy or fetch the product again.")

    def at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(R, C) values at the pixels of these rows and columns."""
        position = np.interp(rows, self._lines, np.arange(len(self._lines)))
        first = np.minimum(position.astype(int), max(len(self._lines) - 2, 0))
        needed = range(int(first.min()), min(int(first.max()) + 2, len(self._vectors)))
        along = {index: np.interp(columns, *self._vectors[index]) for index in needed}
        weight = (position - first)[:, None]
        low = np.stack([along[index] for index in first])
        high = np.stack([along[min(index + 1, len(self._vectors) - 1)] for index in first])
        return low + (high - low) * weight


class CalibrationTable(_Table):
    """sigmaNought A of the calibration file at `path`: sigma0 = DN^2 / A^2. Raises as `_Table`, and DataError where a value is not
    positive."""

    def __init__(self, path: Path) -> None:
        metadata = Metadata(path)
        super().__init__(metadata, "calibrationVector", value="sigmaNought")
        if any((values <= 0).any() for _, values in self._vectors):
            raise DataError(f"{metadata.path}: a <sigmaNought> is not positive. Copy or fetch the product again.")


@dataclass(frozen=True)
class _AzimuthBlock:
    """Lines and range samples (both ends included) whose noise is scaled by a vector along azimuth."""

    lines: tuple[float, float]
    samples: tuple[float, float]
    at_lines: np.ndarray
    scale: np.ndarray


class NoiseTable(_Table):
    """Thermal noise in DN^2, by the file at `path`: a vector along range times, since IPF 2.90, one along azimuth. Raises as `_Table`."""

    def __init__(self, path: Path) -> None:
        metadata = Metadata(path)
        newer = next(metadata.all("noiseRangeVector"), None) is not None
        vector, value = ("noiseRangeVector", "noiseRangeLut") if newer else ("noiseVector", "noiseLut")
        super().__init__(metadata, vector, value=value)
        self._blocks = []
        for element in metadata.all("noiseAzimuthVector"):
            lines, scale = metadata.numbers("line", element), metadata.numbers("noiseAzimuthLut", element)
            if len(lines) != len(scale) or (np.diff(lines) <= 0).any():
                raise DataError(f"{metadata.path}: a <noiseAzimuthVector> whose lines and values do not match. Fetch the product again.")
            ends = [
                metadata.number(name, below=element)
                for name in ("firstAzimuthLine", "lastAzimuthLine", "firstRangeSample", "lastRangeSample")
            ]
            self._blocks.append(_AzimuthBlock((ends[0], ends[1]), (ends[2], ends[3]), lines, scale))

    def at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(R, C) noise in DN^2 at the pixels of these rows and columns."""
        noise = super().at(rows, columns)
        for block in self._blocks:
            inside_rows = (rows >= block.lines[0]) & (rows <= block.lines[1])
            inside_columns = (columns >= block.samples[0]) & (columns <= block.samples[1])
            scale = np.interp(rows[inside_rows], block.at_lines, block.scale)
            noise[np.ix_(inside_rows, inside_columns)] *= scale[:, None]
        return noise


class RadarLayer(OneLayer):
    """One polarisation as linear sigma0 on a regular grid; a window reads only the part of the image that it needs.

    Args:
        file: of digital numbers, in the geometry of the radar.
        band: polarisation.
        grid: where its pixels lie.
        sigma: calibrates.
        noise: is subtracted before; None = nothing is. Pixels that do not exceed it become pixels without data.
    """

    raw_unit: RawUnit | None = "power"

    def __init__(self, file: LayerFile, band: str, *, grid: RadarGrid, sigma: CalibrationTable, noise: NoiseTable | None) -> None:
        if len(file.names) != 1 or file.dtype != np.uint16:
            raise DataError(f"{file.path}: {len(file.names)} layers of {file.dtype}, expected one of uint16. Copy the product again.")
        check_tags(file, None)
        super().__init__(file.path, band)
        self._file, self._radar_grid, self._sigma, self._noise = file, grid, sigma, noise
        self.size, self.grid, self.unit_bytes = grid.size, grid.grid, file.unit_bytes

    def read(self, window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        """See `LayerFile.read`; float32 (1, h, w), NaN where there is no data."""
        row, col, height, width = window
        pixels = np.full((1, height, width), np.nan, np.float32)
        rows = max(1, STRIP_PIXELS // width)
        for start in range(0, height, rows):
            end = min(start + rows, height)
            pixels[0, start:end] = self._strip((row + start, col, end - start, width))
        return pixels, None

    def close(self) -> None:
        """See `LayerFile.close`."""
        self._file.close()

    def _strip(self, window: tuple[int, int, int, int]) -> np.ndarray:
        positions = self._radar_grid.source_positions(window)
        part = self._radar_grid.source_window(positions)
        if part is None:
            return np.full(window[2:], np.nan, np.float32)
        power = sample_bilinear(self._power(part), positions - np.reshape(part[:2], (2, 1, 1)))
        power[~(power > 0)] = np.nan
        return power

    def _power(self, part: tuple[int, int, int, int]) -> np.ndarray:
        """(h, w) float32 linear sigma0 in the geometry of the radar; may be negative where noise is subtracted."""
        row, col, height, width = part
        digital = self._file.read(part)[0][0].astype(np.float32)
        rows, columns = np.arange(row, row + height), np.arange(col, col + width)
        power = digital**2
        if self._noise is not None:
            power -= self._noise.at(rows, columns).astype(np.float32)
        power /= self._sigma.at(rows, columns).astype(np.float32) ** 2
        power[digital == NODATA_DN] = np.nan
        return power
