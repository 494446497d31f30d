"""Where a PNG or JPEG lies, by the files that GDAL and others write beside it: NAME.aux.xml, or a world file."""

from pathlib import Path
from xml.etree.ElementTree import ParseError

import numpy as np
from affine import Affine
from defusedxml import DefusedXmlException, ElementTree
from rasterio.crs import CRS
from rasterio.errors import CRSError

from eocore.data.formats.entries import read_bytes
from eocore.data.io.layer_file import Grid
from eocore.errors import DataError

MAX_BYTES = 2**20
"""Larger files beside a picture are refused: they hold some numbers, and statistics."""
WORLD_ENDINGS = {".png": (".pgw", ".pngw", ".wld"), ".jpg": (".jgw", ".jpgw", ".wld"), ".jpeg": (".jgw", ".jpegw", ".wld")}
"""Source: GDAL manual, PNG and JPEG drivers; Esri, world files for raster data sets."""


def grid_beside(path: Path) -> Grid | None:
    """The grid of a picture, None where no file beside it tells one.

    Raises:
        DataError: such a file is broken.
    """
    notes = path.with_name(path.name + ".aux.xml")
    found = _grid_of_notes(notes) if notes.is_file() else None
    if found is not None:
        return found
    for ending in WORLD_ENDINGS.get(path.suffix.lower(), ()):
        world = path.with_suffix(ending)
        if world.is_file():
            a, d, b, e, x, y = _numbers(world, read_bytes(world, limit=MAX_BYTES, kind="a world file").decode("ascii", "replace").split())
            return Grid("", Affine(a, b, x - (a + b) / 2, d, e, y - (d + e) / 2))  # a world file counts from the middle of a pixel
    return None


def _grid_of_notes(path: Path) -> Grid | None:
    """What GDAL has noted; None where it noted no transform, as with statistics alone."""
    try:
        root = ElementTree.fromstring(read_bytes(path, limit=MAX_BYTES, kind="XML"))
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        raise _broken(path, str(error)) from error
    listed = root.findtext("GeoTransform")
    if listed is None:
        return None
    c, a, b, f, d, e = _numbers(path, listed.replace(",", " ").split())
    try:
        text = CRS.from_user_input(found).to_wkt() if (found := (root.findtext("SRS") or "").strip()) else ""
    except CRSError as error:
        raise _broken(path, str(error)) from error
    return Grid(text, Affine(a, b, c, d, e, f))


def _numbers(path: Path, words: list[str]) -> tuple[float, ...]:
    """Six finite numbers that span an area."""
    try:
        numbers = tuple(map(float, words))
    except ValueError:
        numbers = ()
    if len(numbers) != 6 or not np.isfinite(numbers).all():
        raise _broken(path, f"{' '.join(words)[:60]!r} are no six numbers")
    return numbers


def _broken(path: Path, problem: str) -> DataError:
    return DataError(
        f"{path}: says where the picture beside it lies, and cannot be read ({problem[:100]}). Write it again, or remove it where the "
        "picture is to be read as it is stored."
    )
