"""A base map of this machine under the map of search: a folder of XYZ tiles, or a GeoTIFF, drawn as tiles of longitude and latitude.

Both are resampled to the map's own plane, in which footprints and densities are drawn: longitude and latitude as they are.
"""

import math
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np
from PIL import Image
from rasterio.crs import CRS
from rasterio.warp import Resampling, transform, transform_bounds

from eocore.data.records import ImageRef, Window
from eocore.errors import ConfigError, DataError
from eocore.log import get_logger
from eocore.predict.image_files import ImageFile, image_refs, with_sensor
from eocore.predict.inputs import OPTICAL
from eocore.scenes.place import Place
from eocore.scenes.warping import WARP_ERRORS, find_window, warp
from eocore.sensors.scene import Georeference
from eocore.serve.views.raster import TILE_PX, RasterImage, encode_tile

WGS84, MERCATOR = CRS.from_epsg(4326).to_wkt(), CRS.from_epsg(3857).to_wkt()
TILE_DEGREES = 180.0
"""Width and height of a tile of level 0, of which two show the world: Leaflet's EPSG:4326."""
HALF_TURN = 180.0
"""[degrees]"""
MOST_LEVEL = 22
MERCATOR_HALF_M = math.pi * 6_378_137.0
"""From the middle to the edge of the plane of XYZ tiles [m]: a sphere of the equatorial radius of WGS 84."""
MOST_LATITUDE = 85.0511287798066
"""Edge of that plane [degrees]."""
MOST_ACROSS = 4
"""XYZ tiles a side that one drawn tile is made of; near the poles they are smaller, and coarser ones are taken."""
TILE_SIDES = (256, 512)
CACHED = 1024
"""Drawn tiles in memory."""


class BaseMap(Protocol):
    """What can be drawn below the map."""

    def pixels(self, target: Place) -> np.ndarray | None:
        """(3, h, w) float32 of 0 to 255, NaN where nothing is known; None where nothing is there. Raises DataError for broken files."""
        ...


class TileFolder:
    """XYZ tiles, FOLDER/z/x/y.png, in Web Mercator, rows counted from the north.

    Args:
        folder: of them.

    Raises:
        ConfigError: it holds none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        names = [entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name.isdecimal()]
        self._levels = sorted(int(name) for name in names if next((folder / name).glob("*/*.png"), None) is not None)
        if not self._levels:
            raise ConfigError(f"--basemap {folder}: no tiles in it. Expected a folder of XYZ tiles, Z/X/Y.png, or a GeoTIFF.")

    def pixels(self, target: Place) -> np.ndarray | None:
        """See `BaseMap`."""
        step, _, west, _, minus, north = target.georeference.transform
        east, south = west + step * target.width, north + minus * target.height
        wanted = math.ceil(math.log2(360 / (TILE_PX * step)) - 1e-9)
        fitting = [level for level in self._levels if level <= wanted] or self._levels[:1]
        drawn: np.ndarray | None = None
        for level in reversed(fitting):  # what finer tiles leave open is filled from coarser ones
            left, right = (_column(longitude, level) for longitude in (west, east - step / 2))
            top, bottom = (_row(latitude, level) for latitude in (north + minus / 2, south - minus / 2))
            if right - left >= MOST_ACROSS or bottom - top >= MOST_ACROSS:
                continue
            laid = self._laid(level, (left, top, right + 1, bottom + 1), target=target)
            if laid is not None:
                drawn = laid if drawn is None else np.where(np.isnan(drawn), laid, drawn)
                if np.isfinite(drawn).all():
                    break
        return drawn

    def _laid(self, level: int, tiles: tuple[int, int, int, int], *, target: Place) -> np.ndarray | None:
        """Tiles from (left, top) to before (right, bottom), joined and laid on the target."""
        left, top, right, bottom = tiles
        found = {(x, y): tile for x in range(left, right) for y in range(top, bottom) if (tile := self._tile(level, x, row=y)) is not None}
        if not found:
            return None
        side = next(iter(found.values())).shape[1]
        joined = np.full((3, (bottom - top) * side, (right - left) * side), np.nan, np.float32)
        for (x, y), tile in found.items():
            if tile.shape[1] == side:
                joined[:, (y - top) * side : (y - top + 1) * side, (x - left) * side : (x - left + 1) * side] = tile
        size = 2 * MERCATOR_HALF_M / 2**level
        west, north = left * size - MERCATOR_HALF_M, MERCATOR_HALF_M - top * size
        georeference = Georeference(MERCATOR, (size / side, 0, west, 0, -size / side, north))
        place = Place(joined.shape[1], joined.shape[2], georeference)
        return warp(joined, place, target=target, resampling=Resampling.bilinear, source=self._folder.name)

    def _tile(self, level: int, column: int, *, row: int) -> np.ndarray | None:
        """(3, S, S) float32, NaN where it is clear; None where there is none."""
        path = self._folder / str(level) / str(column) / f"{row}.png"
        try:
            with Image.open(path, formats=["PNG"]) as picture:
                if picture.size not in [(side, side) for side in TILE_SIDES]:
                    raise DataError(
                        f"{_address(path)}: a tile of {picture.width} x {picture.height} px; expected 256 or 512. Make it anew."
                    )
                pixels = np.asarray(picture.convert("RGBA"), np.float32).transpose(2, 0, 1)
        except FileNotFoundError:
            return None
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for broken files
            raise DataError(f"{_address(path)}: a tile of the base map cannot be read ({type(error).__name__}). Make it anew.") from error
        return np.where(pixels[3] > 0, pixels[:3], np.nan).astype(np.float32)


class MapRaster:
    """A GeoTIFF, read part by part.

    Args:
        path: of it.

    Raises:
        ConfigError: it cannot be read, or does not say where it lies.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._raster = RasterImage(_ref_of(path))
        except DataError as error:
            raise ConfigError(
                f"--basemap {path}: {str(error).partition('. ')[0]}. Expected a GeoTIFF of 1 or 3 layers of bytes, or of a known sensor."
            ) from error
        georeference = self._raster.georeference
        if georeference is None or not georeference.crs:
            raise ConfigError(f"--basemap {path}: does not say where its pixels lie. Georeference it (gdalwarp).")
        self._place = Place(*self._raster.header.size, georeference)
        self._bounds = _bounds_of(self._place, path)
        self._composite = self._raster.composites[0].name
        goes_on = self._bounds[0] < -HALF_TURN or self._bounds[2] > HALF_TURN
        self._turns = (0.0, 2 * HALF_TURN, -2 * HALF_TURN) if goes_on else (0.0,)

    def pixels(self, target: Place) -> np.ndarray | None:
        """See `BaseMap`."""
        drawn: np.ndarray | None = None
        for degrees in self._turns:
            laid = self._once(_turned(target, degrees))
            if laid is not None:
                drawn = laid if drawn is None else np.where(np.isnan(drawn), laid, drawn)
        return drawn

    def _once(self, target: Place) -> np.ndarray | None:
        """See `BaseMap`; of longitudes as the raster counts them."""
        part = _within(target, self._bounds)
        window = None if part is None else find_window(self._place, target=target.part(part), source=self._path.name)
        if part is None or window is None:
            return None
        row, col, height, width = part
        found = np.full((3, target.height, target.width), np.nan, np.float32)
        found[:, row : row + height, col : col + width] = self._laid(window, target.part(part))
        return found

    def _laid(self, window: Window, target: Place) -> np.ndarray:
        scale = max(window[2] / target.height, window[3] / target.width)
        level = min(max(math.floor(math.log2(scale)), 0), self._raster.top_level)
        step = 2**level
        top, left = window[0] // step * step, window[1] // step * step
        window = (top, left, window[0] + window[2] - top, window[1] + window[3] - left)
        picture, opaque = self._raster.part(self._composite, "percent_2", window=window, level=level)
        known = np.where(opaque, picture, np.nan).astype(np.float32)
        a, b, c, d, e, f = self._place.part(window).georeference.transform
        georeference = Georeference(self._place.georeference.crs, (a * step, b * step, c, d * step, e * step, f))
        place = Place(known.shape[1], known.shape[2], georeference)
        return warp(known, place, target=target, resampling=Resampling.bilinear, source=self._path.name)


class BaseTiles:
    """Tiles of a base map as pictures.

    Args:
        base_map: that is drawn.
    """

    def __init__(self, base_map: BaseMap) -> None:
        self._map = base_map
        self._drawn: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()
        self._told: set[str] = set()
        self._lock = Lock()

    def tile(self, level: int, column: int, *, row: int) -> bytes:
        """A PNG of 256 x 256 px, clear where nothing is known.

        Args:
            level: a tile is 180 / 2**level degrees wide.
            column, row: from 180 degrees west and the north pole.

        Raises:
            ConfigError: there is no such tile.
            DataError: a file cannot be read.
        """
        if not (0 <= level <= MOST_LEVEL and 0 <= column < 2 ** (level + 1) and 0 <= row < 2**level):
            raise ConfigError(f"the base map has no tile {level}/{column}/{row}.")
        key = (level, column, row)
        with self._lock:
            if key in self._drawn:
                self._drawn.move_to_end(key)
                return self._drawn[key]
        try:
            found = self._map.pixels(place_of_tile(level, column, row=row))
        except DataError as error:
            self._tell(str(error))
            raise
        pixels = np.full((3, TILE_PX, TILE_PX), np.nan, np.float32) if found is None else found
        opaque = np.asarray(np.isfinite(pixels).all(axis=0))
        picture = encode_tile(np.rint(np.where(opaque, pixels, 0)).clip(0, 255).astype(np.uint8), opaque)
        with self._lock:
            self._drawn[key] = picture
            while len(self._drawn) > CACHED:
                self._drawn.popitem(last=False)
        return picture

    def _tell(self, fault: str) -> None:
        """Log what cannot be drawn, once: who looks at the map sees a hole alone."""
        with self._lock:
            is_new = fault not in self._told
            self._told.add(fault)
        if is_new:
            get_logger().warning("base map: %s", fault)


def open_base_map(path: Path) -> BaseMap:
    """The base map of a folder or file.

    Args:
        path: folder of XYZ tiles, or GeoTIFF.

    Raises:
        ConfigError: it is neither.
    """
    if not path.exists():
        raise ConfigError(f"--basemap {path}: there is no such folder or file. Name a folder of XYZ tiles, or a GeoTIFF.")
    return TileFolder(path) if path.is_dir() else MapRaster(path)


def place_of_tile(level: int, column: int, *, row: int) -> Place:
    """The pixels of a tile, in longitude and latitude."""
    degrees = TILE_DEGREES / 2**level
    step = degrees / TILE_PX
    return Place(TILE_PX, TILE_PX, Georeference(WGS84, (step, 0, column * degrees - 180, 0, -step, 90 - row * degrees)))


def _bounds_of(place: Place, path: Path) -> tuple[float, float, float, float]:
    """West, south, east, north [degrees]; of an image over the antimeridian, or as wide as the world and a little more, all longitudes; of
    one in longitude and latitude that goes on beyond 180 degrees, as from 0 to 360, its own."""
    corners = [place.transform @ corner for corner in ((0, 0), (place.width, 0), (0, place.height), (place.width, place.height))]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    try:
        crs = CRS.from_wkt(place.georeference.crs)
        if crs.is_geographic and (min(xs) < -HALF_TURN or max(xs) > HALF_TURN):
            return min(xs), min(ys), max(xs), max(ys)
        west, south, east, north = transform_bounds(crs, WGS84, min(xs), min(ys), max(xs), max(ys))
        middle = transform(crs, WGS84, *([number] for number in place.transform @ (place.width / 2, place.height / 2)))[0][0]
    except WARP_ERRORS as error:
        raise ConfigError(f"--basemap {path}: its CRS cannot be laid on longitude and latitude. Reproject it (gdalwarp).") from error
    return (-HALF_TURN, south, HALF_TURN, north) if west >= east or middle < west or middle > east else (west, south, east, north)


def _turned(target: Place, degrees: float) -> Place:
    """The same pixels, with longitudes that are higher by whole turns."""
    a, b, c, d, e, f = target.georeference.transform
    return Place(target.height, target.width, Georeference(target.georeference.crs, (a, b, c + degrees, d, e, f)))


def _within(target: Place, bounds: tuple[float, float, float, float]) -> Window | None:
    """The part of a target in longitude and latitude that lies within bounds, a pixel more on each side: a plane of a CRS knows no places
    far from it."""
    step, _, left, _, minus, top = target.georeference.transform
    west, south, east, north = bounds
    columns = max(math.floor((west - left) / step) - 1, 0), min(math.ceil((east - left) / step) + 1, target.width)
    rows = max(math.floor((north - top) / minus) - 1, 0), min(math.ceil((south - top) / minus) + 1, target.height)
    inside = columns[0] < columns[1] and rows[0] < rows[1]
    return (rows[0], columns[0], rows[1] - rows[0], columns[1] - columns[0]) if inside else None


def _address(path: Path) -> str:
    """Z/X/Y.png of a tile."""
    return "/".join(path.parts[-3:])


def _column(longitude: float, level: int) -> int:
    return min(max(math.floor((longitude + 180) / 360 * 2**level), 0), 2**level - 1)


def _row(latitude: float, level: int) -> int:
    sine = math.sin(math.radians(min(max(latitude, -MOST_LATITUDE), MOST_LATITUDE)))
    north = math.atanh(sine) / math.pi
    return min(max(math.floor((1 - north) / 2 * 2**level), 0), 2**level - 1)


def _ref_of(path: Path) -> ImageRef:
    (ref,) = image_refs({OPTICAL: with_sensor(OPTICAL, ImageFile((str(path),)))}).values()
    return ref
