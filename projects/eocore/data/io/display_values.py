"""Stored numbers of pictures -> the values that a viewer shows: colour tables, few bits, white as zero."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eocore.errors import DataError
from eocore.portable.pictures import check_upright

FULL_BITS = 8
WHITE = 255


@dataclass(frozen=True)
class ColourTable:
    """What the numbers of a palette picture, or of one whose zero is white, look like.

    Attributes:
        colours: (N, 3) uint8, or (N, 1) where all are grey.
        opaque: (N,) False where a number is transparent.
    """

    colours: np.ndarray
    opaque: np.ndarray

    def keep(self, layers: Sequence[int]) -> "ColourTable":
        """The table of these layers alone."""
        return replace(self, colours=self.colours[:, list(layers)])

    @property
    def names(self) -> tuple[str | None, ...]:
        """Names of the layers."""
        return ("red", "green", "blue") if self.colours.shape[1] == 3 else (None,)

    def apply(self, numbers: np.ndarray, *, source: str) -> tuple[np.ndarray, np.ndarray]:
        """(1, h, w) numbers -> (C, h, w) uint8, and (1, h, w) True where opaque.

        Raises:
            DataError: a number is not in the table.
        """
        if numbers.size and int(numbers.max()) >= len(self.colours):
            raise DataError(
                f"{source}: holds number {int(numbers.max())}, but its colour table ends at {len(self.colours) - 1}; that has no colour. "
                "Write the table anew, or the picture as RGB."
            )
        return np.moveaxis(self.colours[numbers[0]], -1, 0), self.opaque[numbers]


def colour_table(dataset: Any) -> ColourTable | None:
    """The colour table of a GeoTIFF of one layer; None where it has none. GDAL makes one where white is zero."""
    if dataset.count != 1:
        return None
    try:
        entries = dataset.colormap(1)
    except ValueError:  # rasterio's word for no table
        return None
    table = np.array([entries.get(number, (0, 0, 0, 255)) for number in range(max(entries) + 1)], np.uint8)
    grey = bool((table[:, :1] == table[:, :3]).all())
    return ColourTable(table[:, :1] if grey else table[:, :3], table[:, 3] > 0)


def stored_bits(dataset: Any) -> int:
    """Bits of a layer's numbers, where they are fewer than those of its data type; else `FULL_BITS` or more."""
    return int(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", np.dtype(dataset.dtypes[0]).itemsize * 8))


def is_white_zero(dataset: Any) -> bool:
    """Whether 0 is white."""
    return bool(dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES")


def spread_bits(numbers: np.ndarray, bits: int) -> np.ndarray:
    """uint8 numbers of few bits over the whole range 0..255, as they are shown."""
    if bits >= FULL_BITS:
        return numbers
    levels = 2**bits - 1
    return (numbers.astype(np.uint16) * WHITE // levels).astype(np.uint8)


def check_tiff_upright(path: Path) -> None:
    """Raise DataError if a TIFF says that it is turned or mirrored when shown, which GDAL does not regard.

    Only for files without georeference, which viewers of pictures show; what Pillow cannot open is passed over.
    """
    try:
        with warnings.catch_warnings(), _quiet(logging.getLogger("PIL.TiffImagePlugin")):
            warnings.simplefilter("ignore")
            image = Image.open(path, formats=("TIFF",))
    except Exception:  # TIFFs of kinds that Pillow does not know, and damaged ones, whose pixels are GDAL's concern
        return
    with image:
        upright(image, path)


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Pillow calls TIFFs of many bands an error before it raises one."""
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def upright(image: Image.Image, path: Path) -> None:
    """Raise DataError if the orientation of an opened picture says that it is turned or mirrored when shown.

    Of a PNG whose Exif data follow its pixels this is known once they are loaded; nothing is loaded here.
    """
    if image.format == "PNG" and "exif" not in image.info:
        return
    try:
        check_upright(image, str(path))
    except ValueError as error:
        raise DataError(str(error)) from error
    except Exception as error:  # Exif data are read by a parser of their own, which raises many kinds for damaged ones
        raise DataError(f"{path}: its Exif data cannot be read ({error}). Remove them, or save the picture anew.") from error
