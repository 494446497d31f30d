"""An image for a viewer that pans and zooms: pictures of 256 px at any scale, of windows that are read when they are asked for."""

import io
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

from eocore.data.io.readers import read_scene, scene_ground, scene_header
from eocore.data.records import ImageRef, Window
from eocore.errors import ConfigError, DataError, NoDataError
from eocore.portable.band_rendering import DISPLAY_UNIT, SceneArray, layer_values, present
from eocore.serve.views.composites import Composite, composites, draw_index, find_composite
from eocore.serve.views.stretches import stretch_limits

TILE_PX = 256
OVERVIEW_PX = 2048
"""Longest side of the reduced image that far views and stretches are made from."""
STRIP_PIXELS = 20_000_000
"""Most that are read at once, of all bands [px]: 512 rows of a picture as wide as a Sentinel-2 tile."""
BLOCK_ROWS = 512
"""Rows of a block of tiled files, as they are mostly written (256 and 512)."""
CACHED_TILES = 512
"""Of one image, in memory; about 100 KB each."""
LEFT_OUT = "-"


@dataclass(frozen=True)
class TileAddress:
    """One square of the pyramid.

    Attributes:
        level: a pixel of the tile is 2**level pixels of the image wide.
        column, row: counted from the image's upper left corner, in tiles of that level.
    """

    level: int
    column: int
    row: int


class RasterImage:
    """An image file, read part by part.

    Args:
        ref: the image; with a window, that part is the image.
        root: folder that its paths are relative to and must not leave.

    Attributes:
        header: size, bands and unit.
        georeference: where its pixels lie, north up; None where the file does not say.
        gsd_m: side of a pixel on the ground [m], NaN where it is not known.

    Raises:
        DataError: the header cannot be read.
        BandError: its bands are not those of its sensor.
    """

    def __init__(self, ref: ImageRef, *, root: Path | None = None) -> None:
        self.ref, self._root = ref, root
        self.header = scene_header(ref, root=root)
        self.georeference, self.gsd_m = scene_ground(ref, root=root)
        self._overviews: dict[str, np.ndarray] = {}
        self._limits: dict[tuple[str, str], tuple[float, float]] = {}
        self._tiles: OrderedDict[tuple[str, str, TileAddress], bytes] = OrderedDict()
        self._lock = Lock()

    @property
    def composites(self) -> list[Composite]:
        """What can be shown of it."""
        return composites(self.ref.sensor, self.header.bands)

    @property
    def top_level(self) -> int:
        """The level at which the whole image is one tile."""
        return max(math.ceil(math.log2(max(self.header.size) / TILE_PX)), 0)

    @property
    def overview_level(self) -> int:
        """The level of the reduced image in memory."""
        return max(math.ceil(math.log2(max(self.header.size) / OVERVIEW_PX)), 0)

    def tile(self, name: str, stretch: str, *, address: TileAddress) -> bytes:
        """A PNG of 256 x 256 px, clear where there is no data or no image.

        Args:
            name: of a composite.
            stretch: of `stretches.STRETCHES`.
            address: which.

        Raises:
            ConfigError: unknown composite or stretch, or an address outside of the image.
            DataError: the file cannot be read any more.
        """
        key = (name, stretch, address)
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
                return self._tiles[key]
        composite = find_composite(name, sensor=self.ref.sensor, bands=self.header.bands)
        pixels = self._reduced_part(composite.bands, address)
        picture = encode_tile(*self._draw(pixels, composite, stretch=stretch))
        with self._lock:
            self._tiles[key] = picture
            while len(self._tiles) > CACHED_TILES:
                self._tiles.popitem(last=False)
        return picture

    def part(self, name: str, stretch: str, *, window: Window, level: int) -> tuple[np.ndarray, np.ndarray]:
        """(3, h, w) uint8 of a part, and (h, w) True where there is data; each pixel is the mean of 2**level x 2**level of the image's.

        Args:
            name: of a composite.
            stretch: of `stretches.STRETCHES`.
            window: north up, its first row and column multiples of 2**level.
            level: 0 to `top_level`.

        Raises:
            ConfigError: unknown composite or stretch.
            DataError: the file cannot be read any more.
        """
        composite = find_composite(name, sensor=self.ref.sensor, bands=self.header.bands)
        return self._draw(self._reduced(composite.bands, window, level=level), composite, stretch=stretch)

    def thumbnail(self, name: str, stretch: str, *, side: int) -> bytes:
        """A PNG of the whole image whose longer side is at most `side` px. Raises as `tile`."""
        composite = find_composite(name, sensor=self.ref.sensor, bands=self.header.bands)
        factor = max(math.ceil(max(self.header.size) / side) >> self.overview_level, 1)
        pixels = reduce_mean(self._overview(composite.bands), factor)
        picture, opaque = self._draw(pixels, composite, stretch=stretch)
        return encode_png(picture, opaque)

    def _draw(self, pixels: np.ndarray, composite: Composite, *, stretch: str) -> tuple[np.ndarray, np.ndarray]:
        """(3, h, w) uint8 and (h, w) True where there is data."""
        opaque = np.isfinite(pixels).any(0)
        unit = self.header.unit
        if unit == DISPLAY_UNIT:
            whole = SceneArray(np.rint(pixels), composite.bands, unit)  # means of dark pixels are fractions
            return present(whole, {}, num_channels=3)[0], opaque
        scene = SceneArray(pixels, composite.bands, unit)
        if composite.index:
            return draw_index(scene, composite), opaque
        limits = {entry: self._limits_of(entry, stretch, bands=composite.bands) for entry in composite.entries}
        entries = composite.entries if len(composite.entries) == 3 else composite.entries * 3
        low, high = ({entry: both[side] for entry, both in limits.items()} for side in (0, 1))
        rule = {"views": [entries], "stretch": {"method": "range", "low": low, "high": high}}
        return present(scene, rule, num_channels=3)[0], opaque

    def _limits_of(self, entry: str, stretch: str, *, bands: tuple[str, ...]) -> tuple[float, float]:
        key = (entry, stretch)
        if key not in self._limits:
            scene = SceneArray(self._overview(bands), bands, self.header.unit)
            self._limits[key] = stretch_limits(stretch, entry, values=layer_values(entry, scene), sensor=self.ref.sensor)
        return self._limits[key]

    def _overview(self, bands: Sequence[str]) -> np.ndarray:
        """(C, h, w) float32 of the whole image, reduced by 2**overview_level; each band is read once."""
        with self._lock:
            missing = [band for band in bands if band not in self._overviews]
            if missing:
                whole = self._read_reduced(missing, (0, 0, *self.header.size), factor=2**self.overview_level)
                self._overviews.update(zip(missing, whole, strict=True))
            return np.stack([self._overviews[band] for band in bands])

    def _reduced_part(self, bands: Sequence[str], address: TileAddress) -> np.ndarray:
        """(C, 256, 256) float32 of a tile, NaN beyond the image."""
        side = TILE_PX << address.level if 0 <= address.level <= self.top_level else 0
        height, width = self.header.size
        row, col = address.row * side, address.column * side
        if not side or not (0 <= row < height and 0 <= col < width):
            raise ConfigError(f"tile {address.level}/{address.column}/{address.row} lies outside of the image ({height} x {width} px).")
        part = np.full((len(bands), TILE_PX, TILE_PX), np.nan, np.float32)
        found = self._reduced(bands, (row, col, min(side, height - row), min(side, width - col)), level=address.level)
        part[:, : found.shape[1], : found.shape[2]] = found
        return part

    def _reduced(self, bands: Sequence[str], window: Window, *, level: int) -> np.ndarray:
        """(C, h, w) float32 of a part, read from the file where it is looked at from near, else from the reduced image in memory."""
        if level < self.overview_level or not self.overview_level:
            return self._read_reduced(bands, window, factor=2**level)
        step = 2**self.overview_level
        top, left, bottom, right = window[0], window[1], window[0] + window[2], window[1] + window[3]
        near = self._overview(bands)[:, top // step : -(-bottom // step), left // step : -(-right // step)]
        return reduce_mean(near, 2 ** (level - self.overview_level))

    def _read_reduced(self, bands: Sequence[str], window: Window, *, factor: int) -> np.ndarray:
        """(C, h, w) float32, each the mean of `factor` x `factor` pixels with data; read a strip at a time."""
        row, col, height, width = window
        ref = bands_of_ref(self.ref, self.header.bands, wanted=bands)
        rows = strip_rows(width * len(bands), factor=factor)
        strips = []
        for start in range(0, height, rows):
            strips.append(reduce_mean(self._read(ref, bands, window=(row + start, col, min(rows, height - start), width)), factor))
        return np.concatenate(strips, axis=1)

    def _read(self, ref: ImageRef, bands: Sequence[str], *, window: Window) -> np.ndarray:
        row, col, height, width = self.header.turn.stored_window(window, size=self.header.size)
        top, left = (self.ref.window or (0, 0))[:2]
        stored = (top + row, left + col, height, width)
        try:
            scene = read_scene(ref, root=self._root, window=stored)
        except NoDataError:
            return np.full((len(bands), *window[2:]), np.nan, np.float32)
        return scene.select(tuple(bands)).pixels


def strip_rows(width: int, *, factor: int) -> int:
    """Rows that are read at once, a multiple of `factor`: whole blocks where they fit, as each strip decodes those that it touches.

    Args:
        width: of a row, times the bands [px].
        factor: by which the image is reduced, a power of two.
    """
    most, block = STRIP_PIXELS // width, max(BLOCK_ROWS, factor)
    return most // block * block or max(most // factor, 1) * factor


def bands_of_ref(ref: ImageRef, bands: Sequence[str], *, wanted: Sequence[str]) -> ImageRef:
    """The ref of the same image with some of its bands alone, so that no others are decoded.

    Args:
        ref: of one file, a file a band, or the folder of a product.
        bands: that the scene has, in order.
        wanted: some of them.
    """
    folder = len(ref.paths) == 1 and Path(ref.paths[0]).is_dir()
    kept = tuple(band for band in bands if band in wanted)
    if folder:
        return replace(ref, bands=kept)
    if len(ref.paths) > 1 and len(ref.paths) == len(bands):
        return replace(ref, paths=tuple(path for path, band in zip(ref.paths, bands, strict=True) if band in wanted), bands=kept)
    if len(ref.paths) > 1 or LEFT_OUT in ref.bands:
        return ref
    return replace(ref, bands=tuple(band if band in wanted else LEFT_OUT for band in bands))


def reduce_mean(pixels: np.ndarray, factor: int) -> np.ndarray:
    """(C, ceil(H / f), ceil(W / f)) float32: means of squares, blind to NaN; NaN where nothing is known.

    Args:
        pixels: (C, H, W).
        factor: f.
    """
    if factor == 1:
        return pixels
    count, height, width = pixels.shape
    rows, columns = -(-height // factor), -(-width // factor)
    whole = np.full((count, rows * factor, columns * factor), np.nan, np.float32)
    whole[:, :height, :width] = pixels
    squares = whole.reshape(count, rows, factor, columns, factor)
    known = np.isfinite(squares)
    if known.all():
        mean: np.ndarray = squares.mean((2, 4))
        return mean
    number = known.sum((2, 4))
    total = np.where(known, squares, 0).sum((2, 4), dtype=np.float64)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan).astype(np.float32)


def encode_tile(picture: np.ndarray, opaque: np.ndarray) -> bytes:
    """PNG of a tile, see `encode_png`."""
    if picture.shape[1:] != (TILE_PX, TILE_PX):
        raise DataError(f"a tile is {TILE_PX} x {TILE_PX} px, found {picture.shape}.")
    return encode_png(picture, opaque)


def encode_png(picture: np.ndarray, opaque: np.ndarray) -> bytes:
    """PNG file content with transparency.

    Args:
        picture: (3, H, W) uint8.
        opaque: (H, W) bool.
    """
    alpha = np.where(opaque, 255, 0).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(np.concatenate([picture, alpha[None]]).transpose(1, 2, 0)).save(content, format="PNG", compress_level=2)
    return content.getvalue()
