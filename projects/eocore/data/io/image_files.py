"""The image formats behind `readers`: GeoTIFF, JPEG 2000, PNG / JPEG, NPY / NPZ, each as layers that are sized up before a pixel is read.

Files are untrusted. A path is refused before any library sees it if it is not a plain local file; the format is told by the first bytes and
the decoder is pinned to it, so that no file can make GDAL open another one; sizes come from the header alone.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from PIL import Image
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from eocore.data.formats.entries import unreadable
from eocore.data.io.array_files import ArrayFile
from eocore.data.io.display_values import (
    FULL_BITS,
    WHITE,
    ColourTable,
    check_tiff_upright,
    colour_table,
    is_white_zero,
    spread_bits,
    stored_bits,
    upright,
)
from eocore.data.io.layer_file import Grid, LayerFile, broken, complex_pixels
from eocore.data.io.side_files import grid_beside
from eocore.data.io.tie_points import TiePoints, fitted_grid
from eocore.data.io.turned_file import with_north_up
from eocore.data.io.video_files import is_video
from eocore.errors import DataError
from eocore.log import get_logger
from eocore.sensors.bands import RawUnit
from eocore.sensors.orientation import AS_STORED

DEFAULT_PATTERN = "{stem}.tif"
"""File of an image below its root, where a config names no pattern."""
MAX_PICTURE_PIXELS = 64_000_000
"""Largest PNG or JPEG [px]: a file of a few KB can claim as much as its header likes, and must be decoded whole."""

GDAL_OPTIONS = {"CPL_VSIL_CURL_ALLOWED_FILENAME": "none", "GDAL_HTTP_MAX_RETRY": 0, "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE"}
"""Keeps GDAL off the network, besides the pinned driver (GDAL manual, security considerations), and from listing the whole folder of each
file it opens, which costs the more the larger the set is. Files beside the image are still found by their names."""

_VIRTUAL_PATH = re.compile(r"^/vsi|://|[<\0]|^[A-Za-z][A-Za-z0-9+.]+:")
_FORMATS = {
    "GeoTIFF": ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), (".tif", ".tiff", ".gtif")),
    "PNG": ((b"\x89PNG\r\n\x1a\n",), (".png", ".jpg", ".jpeg")),
    "JPEG": ((b"\xff\xd8\xff",), (".jpg", ".jpeg", ".png")),
    "NPY": ((b"\x93NUMPY",), (".npy",)),
    "NPZ": ((b"PK\x03\x04",), (".npz",)),
    "JPEG 2000": ((b"\0\0\0\x0cjP  \r\n\x87\n",), (".jp2",)),
}
OPAQUE = 255
MOST_HALF_TRANSPARENT = 0.25
"""Fraction of pixels between transparent and opaque that pictures have at their soft edges, at most."""
LOSSY = ("JPEG", "YCbCr JPEG")
_COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_PICTURE_LAYERS = {"1": 1, "L": 1, "LA": 1, "I;16": 1, "I": 1, "P": 3, "RGB": 3, "RGBA": 3}


def resolve_path(path: str, *, root: Path | None = None, folders: bool = False) -> Path:
    """The plain local file `path`, links followed.

    Args:
        path: relative to `root`, or to the working directory without one.
        root: the folder the file must lie in, also after following links.
        folders: a folder is taken too.

    Raises:
        DataError: the path is remote or virtual, leads out of `root`, or is no file.
    """
    if _VIRTUAL_PATH.search(path):
        raise DataError(
            f"{path[:200]!r}: not a plain local path. Remote files are opened by tools/map_scene.py alone, where --allow-remote says so, "
            "and virtual ones never; copy the file here first."
        )
    try:
        resolved = (root / path if root else Path(path)).resolve()
        is_file = resolved.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # ValueError: characters that no file name can hold
        raise DataError(f"{path[:200]!r}: not a usable path ({error.__class__.__name__}). Correct the annotation or the folder.") from error
    if root and not resolved.is_relative_to(root.resolve()):
        raise DataError(f"{path}: leads out of its folder {root} (to {resolved}). Put the file inside, or name the folder it lies in.")
    if folders and resolved.is_dir():
        return resolved
    if resolved.is_dir():
        raise DataError(f"{path}: a folder, expected an image file (looked at {resolved}). Correct the path in the annotation.")
    if not is_file:
        raise DataError(
            f"{path}: no such file (looked at {resolved}). Correct the path; where a config names the folder, "
            f"`root` and `pattern` of its `images` (pattern is '{DEFAULT_PATTERN}' where none is given)."
        )
    return resolved


def open_layers(path: Path, *, indexed: bool = False, as_stored: bool = False) -> LayerFile:
    """The file, opened by the one decoder its first bytes call for.

    Args:
        path: from `resolve_path`.
        indexed: give the numbers of class maps as they are stored, not as viewers show them: of a palette picture the indexes.
        as_stored: leave rows and columns as they are stored, where north is not up, and tie points unfitted.

    Raises:
        DataError: the format is unknown, disagrees with the file's ending, or the header cannot be read; a raster is strongly rotated, a
            picture is turned when it is shown, or a class map is of a lossy format.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(32)
    except OSError as error:
        raise unreadable(path, error) from error
    if not head:
        raise DataError(f"{path}: the file is empty; expected an image. Copy or fetch it again.")
    kind = next((kind for kind, (magics, _) in _FORMATS.items() if head.startswith(magics)), None)
    if kind is None and is_video(path):
        raise DataError(f"{path}: a video, where an image is expected. Give it as one: --video of predict.py, `video` of an entry.")
    if kind is None:
        raise DataError(
            f"{path}: not a GeoTIFF, JPEG 2000, PNG, JPEG, NPY or NPZ file (begins with {head[:8]!r}). Convert it, or fetch it again."
        )
    if path.suffix.lower() == ".zip":
        raise DataError(f"{path}: an archive; products and images are read from unpacked files. Unpack it, and name what it held.")
    ours = {ending for _, endings in _FORMATS.values() for ending in endings}
    if path.suffix.lower() in ours - set(_FORMATS[kind][1]):
        raise DataError(f"{path}: holds {kind} but ends in {path.suffix}. Rename it after checking where it came from.")
    if kind in (GeoTiff.kind, Jpeg2000.kind):
        raster = (GeoTiff if kind == GeoTiff.kind else Jpeg2000)(path, indexed=indexed)
        if not as_stored and raster.grid is None and raster.tie_points:
            raster.grid = fitted_grid(raster.tie_points, path)
        return raster if as_stored else with_north_up(raster)
    if kind in ("PNG", "JPEG"):
        return with_north_up(Picture(path, kind, indexed=indexed))
    return ArrayFile(path, kind)


class GeoTiff:
    """A GeoTIFF through rasterio, driver pinned. Pictures of 8 bits or fewer give the colours that a viewer shows, class maps their
    numbers."""

    kind, driver = "GeoTIFF", "GTiff"
    raw_unit: RawUnit | None = None
    turn = AS_STORED
    _table: ColourTable | None = None

    def __init__(self, path: Path, *, indexed: bool = False) -> None:
        self.path, self._indexed = path, indexed
        self._open(str(path), options=GDAL_OPTIONS)

    def _open(self, name: str, *, options: Mapping[str, Any]) -> None:
        """Opens what GDAL calls `name`, in an environment that every reading has, too."""
        path, self._options = self.path, options
        try:
            with rasterio.Env(**options), warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                self._dataset = rasterio.open(name, driver=self.driver, sharing=False)
                self._read_header()
        except DataError:
            raise
        except Exception as error:  # rasterio and what it calls raise many kinds for damaged files, some only when a field is asked for
            raise broken(path, self.kind, error=error) from error

    def _read_header(self) -> None:
        if not self._dataset.count or self._dataset.subdatasets:
            pages = len(self._dataset.subdatasets)
            raise DataError(
                f"{self.path}: holds {pages} pages; expected one image, of which bands are layers. Split it, or stack the pages."
            )
        self.size: tuple[int, int] = (self._dataset.height, self._dataset.width)
        if "complex" in self._dataset.dtypes[0]:
            raise complex_pixels(self.path, self._dataset.dtypes[0])
        self.dtype: np.dtype = np.dtype(self._dataset.dtypes[0])
        colours, texts, flags = self._dataset.colorinterp, self._dataset.descriptions, self._dataset.mask_flag_enums
        is_picture = self.dtype == np.uint8
        kept = [i for i, colour in enumerate(colours) if not (is_picture and colour == ColorInterp.alpha)]
        alike = len(kept) > 1 and len({texts[i] for i in kept}) == 1  # one text for all layers tells none from another
        self.names: tuple[str | None, ...] = tuple(
            colours[i].name if is_picture and colours[i] in _COLOURS and (alike or not texts[i]) else texts[i] for i in kept
        )
        self.scaling: tuple[tuple[float, float], ...] = tuple((self._dataset.scales[i], self._dataset.offsets[i]) for i in kept)
        self._indexes = [i + 1 for i in kept]
        self._alphas = [i + 1 for i in range(len(colours)) if i not in kept]
        self._all_valid = all(flags[i] == [MaskFlags.all_valid] for i in kept)
        self.grid = self._read_grid()
        points, crs = self._dataset.gcps
        places = tuple((point.row, point.col, point.x, point.y, point.z or 0.0) for point in points)
        self.tie_points = TiePoints(self._wkt(crs), places)
        self._read_display()
        together = self._dataset.count if self._dataset.interleaving is not None and self._dataset.interleaving.value == "PIXEL" else 1
        self.unit_bytes = max(h * w for h, w in self._dataset.block_shapes) * self.dtype.itemsize * together

    def read(self, window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        """See `LayerFile.read`. Alpha of uint8 pictures, nodata values and internal masks tell what is valid."""
        pixels, valid = self._read_stored(window)
        pixels = spread_bits(pixels, self._bits)
        if self._table is None:
            return pixels, valid
        shown, opaque = self._table.apply(pixels, source=str(self.path))
        return shown, opaque if valid is None else valid & opaque

    def _read_stored(self, window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        row, col, height, width = window
        area = Window(col, row, width, height)
        try:
            with rasterio.Env(**self._options):
                pixels = self._dataset.read(self._indexes, window=area)
                if self._all_valid:
                    return pixels, None
                if pixels.dtype == np.uint8:  # a picture has no data where all its colours are: black alone is a colour
                    self._check_alpha(area)
                    return pixels, self._dataset.dataset_mask(window=area)[None] > 0
                return pixels, self._dataset.read_masks(self._indexes, window=area) > 0
        except Exception as error:
            raise broken(self.path, self.kind, error=error) from error

    def _check_alpha(self, area: Window) -> None:
        """Tell, once for a file, that a layer marked as transparency holds many values, as near-infrared would."""
        for index in self._alphas:
            alpha = self._dataset.read(index, window=area)
            if ((alpha > 0) & (alpha < OPAQUE)).mean() > MOST_HALF_TRANSPARENT:
                get_logger().warning(
                    "%s: layer %d is marked as transparency (alpha) but holds many values, as a near-infrared band would; it is not read "
                    "as a band, only its zeros count as no data. Correct the mark of such a band (gdal_edit.py -colorinterp_%d undefined).",
                    self.path,
                    index,
                    index,
                )
                self._alphas = []
                return

    def keep(self, layers: Sequence[int]) -> None:
        """See `LayerFile.keep`."""
        self.names = tuple(self.names[layer] for layer in layers)
        if self._table is None:
            self._indexes = [self._indexes[layer] for layer in layers]
            self.scaling = tuple(self.scaling[layer] for layer in layers)
        else:
            self._table = self._table.keep(layers)

    def close(self) -> None:
        """Hands the file back."""
        self._dataset.close()

    def _read_display(self) -> None:
        """How stored numbers become what a viewer shows; nothing for class maps, of which the stored numbers count."""
        self._table, self._bits = None, FULL_BITS
        if self._indexed:
            if self._dataset.compression is not None and self._dataset.compression.value in LOSSY:
                raise lossy_classes(self.path, "JPEG compression inside a TIFF")
            return
        if self.grid is None:
            check_tiff_upright(self.path)
        if is_white_zero(self._dataset) and self.dtype != np.uint8:
            raise DataError(
                f"{self.path}: white is zero (PhotometricInterpretation 0) in {self.dtype} pixels; light and dark would be exchanged. "
                "Write it with black as zero."
            )
        self._table = colour_table(self._dataset)
        if self._table is not None:
            self.names, self.dtype, self.scaling = self._table.names, np.dtype(np.uint8), ()
        elif self.dtype == np.uint8:
            self._bits = stored_bits(self._dataset)

    def _read_grid(self) -> Grid | None:
        if self._dataset.transform.is_identity:
            return None
        return _checked(Grid(self._wkt(self._dataset.crs), self._dataset.transform), self.path)

    def _wkt(self, crs: CRS | None) -> str:
        """Text that can be read again, "" for none."""
        try:
            text = str(crs.to_wkt()) if crs else ""
            if text:
                CRS.from_wkt(text)
        except Exception as error:
            raise broken(self.path, self.kind, error=error) from error
        return text


def _checked(grid: Grid | None, path: Path) -> Grid | None:
    """The grid. Raises DataError if it spans no area."""
    if grid is not None and (not np.isfinite(grid.transform[:6]).all() or not grid.transform.determinant):
        raise DataError(f"{path}: its transform {tuple(grid.transform[:6])} puts all pixels on one line or nowhere. Georeference it again.")
    return grid


class Jpeg2000(GeoTiff):
    """A JPEG 2000 file, such as a band of Sentinel-2, read as a GeoTIFF is."""

    kind, driver = "JPEG 2000", "JP2OpenJPEG"


class Picture:
    """A PNG or JPEG through Pillow. A picture that its Exif orientation turns is refused: annotations may count stored or shown pixels."""

    raw_unit: RawUnit | None = None
    scaling: tuple[tuple[float, float], ...] = ()
    turn = AS_STORED

    def __init__(self, path: Path, kind: str, *, indexed: bool = False) -> None:
        self.path, self._kind, self._indexed = path, kind, indexed
        self.grid = _checked(grid_beside(path), path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                self._image = Image.open(path, formats=(kind,))
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise self._too_large(str(error)) from error
        except Exception as error:  # Pillow's decoders raise many kinds for damaged files
            raise broken(path, kind, error=error) from error
        self.size = (self._image.height, self._image.width)
        if self.size[0] * self.size[1] > MAX_PICTURE_PIXELS:
            raise self._too_large(f"{self.size[0]} x {self.size[1]} px")
        layers = 1 if indexed and self._image.mode == "P" else _PICTURE_LAYERS.get(self._image.mode)
        if layers is None:
            raise DataError(f"{path}: colour mode {self._image.mode}; expected grey, RGB or RGBA. Convert it to RGB.")
        upright(self._image, path)
        self._depth = self._check_depth(layers)
        if indexed and kind == "JPEG":
            raise lossy_classes(path, "a JPEG", values=self._some_values())
        self.names: tuple[str | None, ...] = ("red", "green", "blue") if layers == 3 else (None,)
        self._count, self._kept = layers, list(range(layers))
        self.dtype = np.dtype({"I;16": np.uint16, "I": np.int32}.get(self._image.mode, np.uint8))
        self.unit_bytes = self.size[0] * self.size[1] * self.dtype.itemsize * (layers + 1)

    def read(self, window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray | None]:
        """See `LayerFile.read`. Fully transparent pixels are not valid."""
        row, col, height, width = window
        try:
            image: Image.Image = self._image
            if "transparency" in image.info and not self._indexed:
                image = image.convert("RGBA" if self._count == 3 else "LA")
            elif image.mode == "P" and not self._indexed:
                image = image.convert("RGB")
            pixels = np.asarray(image.crop((col, row, col + width, row + height)))
        except Exception as error:
            raise broken(self.path, self._kind, error=error) from error
        upright(self._image, self.path)
        if pixels.dtype == bool:
            pixels = pixels.astype(np.uint8) * np.uint8(1 if self._indexed else WHITE)
        elif self._indexed and self._kind == "PNG" and self._depth < FULL_BITS and image.mode == "L":
            pixels = pixels // (WHITE // (2**self._depth - 1))  # Pillow spreads grey of few bits over 0..255
        layers = np.moveaxis(pixels[:, :, None] if pixels.ndim == 2 else pixels, -1, 0)
        if layers.shape[0] == self._count:
            return layers[self._kept], None
        return layers[:-1][self._kept], layers[-1:] > 0

    def keep(self, layers: Sequence[int]) -> None:
        """See `LayerFile.keep`."""
        self.names, self._kept = tuple(self.names[layer] for layer in layers), list(layers)

    def close(self) -> None:
        """Hands the file back."""
        self._image.close()

    def _too_large(self, found: str) -> DataError:
        return DataError(f"{self.path}: {found}; at most {MAX_PICTURE_PIXELS} px of a {self._kind} are decoded. Cut it up, or use GeoTIFF.")

    def _some_values(self) -> str:
        try:
            values = np.unique(np.asarray(self._image))
        except Exception as error:
            raise broken(self.path, self._kind, error=error) from error
        return f"{values.size} different values, {', '.join(map(str, values[:8]))}{' ...' if values.size > 8 else ''}"

    def _check_depth(self, layers: int) -> int:
        """Bits of a channel as stored; 8 of a JPEG."""
        if self._kind != "PNG":
            return FULL_BITS
        with self.path.open("rb") as stream:
            depth = stream.read(25)[24]  # IHDR: signature 8, chunk head 8, width 4, height 4, then bits per channel
        if depth == 16 and (layers == 3 or self._image.mode == "LA"):
            raise DataError(f"{self.path}: 16-bit PNG of several channels, of which 8 bits would be lost. Save it as GeoTIFF or NPY.")
        return depth


def lossy_classes(path: Path, what: str, *, values: str = "") -> DataError:
    """The error for a class map or mask whose numbers its compression changed."""
    found = f" ({values})" if values else ""
    return DataError(
        f"{path}: {what}{found}, but a mask or class map is made of exact numbers, which lossy compression changes: edges would be "
        "fringed, and classes would become others. Write it from the source as PNG or as TIFF without loss."
    )
