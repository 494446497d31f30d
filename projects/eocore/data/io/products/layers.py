"""What every product folder has in common: its bands as layers in a physical unit, and the files that must be there."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine

from eocore.data.io.image_files import resolve_path
from eocore.data.io.layer_file import Grid, LayerFile, OneLayer
from eocore.errors import BandError, DataError
from eocore.sensors.bands import RawUnit, Sensor, get_sensor
from eocore.sensors.file_scaling import NO_SCALING, same_scaling
from eocore.sensors.ranges import Scaling

Convert = Callable[[np.ndarray], np.ndarray]
"""Digital numbers (1, h, w) -> float32 in the physical unit, NaN where there is no data."""

STRIP_PIXELS = 16_000_000
"""Of the file that are held at once while its pixels are averaged [px]."""
SHOWN_NAME = 200
"""Of the name of a missing file [characters]."""
WHOLE = 1e-6
"""Two pixel sizes are multiples where their ratio is this near to a whole number."""


@dataclass(frozen=True)
class ProductChoice:
    """What is asked of a product.

    Attributes:
        sensor: name in the sensor registry.
        bands: canonical names of the bands to read, in order; () = all that the product delivers of the sensor's.
        gsd_m: pixel size of the grid that all bands are put on [m]; None = the product's finest, see docs/formats.md.
        noise_removal: subtract the thermal noise that the product states (Sentinel-1).
    """

    sensor: str
    bands: tuple[str, ...] = ()
    gsd_m: float | None = None
    noise_removal: bool = False


class ProductLayer(OneLayer):
    """One band of a product: its file's numbers in a physical unit, averaged to coarser pixels where they are asked for.

    Args:
        file: of one layer.
        band: its canonical name.
        convert: see `Convert`.
        scaling: (scale, offset) that the metadata state; tags of the file say the same, or nothing.
        factor: pixels of the file along each side of a pixel of the layer. Pixels without data do not count in the average.
    """

    raw_unit: RawUnit | None = "physical"

    def __init__(self, file: LayerFile, band: str, *, convert: Convert, scaling: Scaling, factor: int = 1) -> None:
        if len(file.names) != 1:
            raise DataError(f"{file.path}: {len(file.names)} layers, expected the one of band {band}. Copy the product again.")
        if file.dtype.kind != "u" or file.dtype.itemsize < 2:
            raise DataError(f"{file.path}: {file.dtype} pixels, expected uint16 digital numbers. Copy the product again.")
        check_tags(file, scaling)
        super().__init__(file.path, band)
        self._file, self._convert, self._factor = file, convert, factor
        height, width = file.size
        self.size = (-(-height // factor), -(-width // factor))
        self.grid = coarser(file.grid, factor)
        self.unit_bytes = file.unit_bytes

    def read(self, window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        """See `LayerFile.read`; float32, NaN where there is no data."""
        row, col, height, width = window
        if self._factor == 1:
            return self._physical(window), None
        pixels = np.empty((1, height, width), np.float32)
        rows = max(1, STRIP_PIXELS // (self._factor**2 * width))
        for start in range(0, height, rows):
            end = min(start + rows, height)
            pixels[:, start:end] = self._averaged((row + start, col, end - start, width))
        return pixels, None

    def close(self) -> None:
        """See `LayerFile.close`."""
        self._file.close()

    def _physical(self, window: tuple[int, int, int, int]) -> np.ndarray:
        digital, valid = self._file.read(window)
        pixels = self._convert(digital)
        if valid is not None:
            pixels[~np.broadcast_to(valid, pixels.shape)] = np.nan
        return pixels

    def _averaged(self, window: tuple[int, int, int, int]) -> np.ndarray:
        row, col, height, width = (number * self._factor for number in window)
        inside = (min(height, self._file.size[0] - row), min(width, self._file.size[1] - col))
        fine = np.full((height, width), np.nan, np.float32)  # beyond the file's last row and column there is no data
        fine[: inside[0], : inside[1]] = self._physical((row, col, *inside))[0]
        blocks = fine.reshape(window[2], self._factor, window[3], self._factor)
        known = np.isfinite(blocks)
        count = known.sum((1, 3))
        total = np.where(known, blocks, 0).sum((1, 3), dtype=np.float64)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)[None]


def check_tags(file: LayerFile, scaling: Scaling | None) -> None:
    """Raise DataError if tags of scale and offset in a product's file contradict its metadata; None = these state none."""
    odd = next((tags for tags in file.scaling if tags != NO_SCALING and (scaling is None or not same_scaling(tags, scaling))), None)
    if odd is not None:
        stated = "none" if scaling is None else f"({scaling[0]:g}, {scaling[1]:g})"
        raise DataError(
            f"{file.path}: its tags give scale and offset as ({odd[0]:g}, {odd[1]:g}), but the metadata of the product state {stated}; one "
            "of them is wrong. Copy or fetch the product again."
        )


def coarser(grid: Grid | None, factor: int) -> Grid | None:
    """The grid whose pixels hold `factor` x `factor` of `grid`."""
    return grid and Grid(grid.crs, grid.transform * Affine.scale(factor))


def whole_factor(coarse_m: float, fine_m: float, *, source: Path) -> int:
    """How many fine pixels lie along a coarse one.

    Raises:
        DataError: not a whole number of them.
    """
    ratio = coarse_m / fine_m
    if ratio < 1 - WHOLE or abs(ratio - round(ratio)) > WHOLE:
        raise DataError(
            f"{source}: pixels of {fine_m:g} m cannot be averaged to gsd_m={coarse_m:g}; expected a multiple of {fine_m:g} m. Choose "
            "such a one, or leave gsd_m out."
        )
    return round(ratio)


def file_inside_product(folder: Path, path: Path) -> Path:
    """`path` of a product, links followed. Raises DataError where it leads out of the folder or is no file."""
    return resolve_path(str(path.relative_to(folder)), root=folder)


def holds(folder: Path, name: str) -> bool:
    """Whether a file that the metadata name is there; names too long for any file system are not."""
    try:
        return (folder / name).is_file()
    except OSError:
        return False


def check_complete(folder: Path, missing: Collection[str]) -> None:
    """Raise DataError if files of the product are missing.

    Args:
        folder: of the product.
        missing: paths below it.
    """
    if missing:
        named = ", ".join(name[:SHOWN_NAME] for name in sorted(missing)[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise DataError(
            f"{folder}: the product lacks {named}. Copy or fetch it again; where only some of its bands are wanted and there, name them in "
            "`bands`."
        )


def wanted_bands(choice: ProductChoice, delivered: Sequence[str], *, source: Path) -> tuple[str, ...]:
    """Canonical names of the bands to read, in order.

    Args:
        choice: may name bands.
        delivered: canonical names of those that the product holds by its specification.
        source: the folder, for messages.

    Raises:
        BandError: a band is named that the sensor or the product does not have, or twice.
    """
    sensor: Sensor = get_sensor(choice.sensor)
    names = tuple(sensor.band(name).name for name in choice.bands) or tuple(delivered)
    if len(set(names)) < len(names) or set(names) - set(delivered):
        raise BandError(
            f"{source}: `bands` are {', '.join(choice.bands)}; the product holds {', '.join(delivered)}. Name some of them, each once, or "
            "leave `bands` out."
        )
    return names


def check_sensor(choice: ProductChoice, accepted: Collection[str], *, source: Path, what: str) -> None:
    """Raise BandError if the sensor is not one that the product can be read as.

    Args:
        choice: names the sensor.
        accepted: names, the usual one first.
        source: the folder, for messages.
        what: what the product is, in words.
    """
    if choice.sensor not in accepted:
        raise BandError(
            f"{source}: {what}, but the sensor is said to be {choice.sensor}; bands or units would be mistaken for others. Its sensor is "
            f"{next(iter(accepted))}."
        )
