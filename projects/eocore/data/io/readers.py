"""Image files -> `Scene`: layers named by the sensor's bands, put on one pixel grid, in the sensor's unit.

With `image_files`, the only path where images are opened.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import Resampling, reproject

from eocore.data.io.band_names import check_left_out, name_bands
from eocore.data.io.image_files import Grid, LayerFile, open_layers, resolve_path
from eocore.data.io.layer_file import LEFT_OUT, leave_out
from eocore.data.io.products.layers import ProductChoice
from eocore.data.io.products.picked_files import check_picked_files
from eocore.data.io.products.registry import open_product
from eocore.data.io.remote_files import is_remote, open_remote
from eocore.data.io.video_files import VideoFrame, is_video
from eocore.data.io.zarr_files import ZarrImage
from eocore.data.records import ImageRef, Window
from eocore.errors import DataError, NoDataError
from eocore.sensors.bands import Sensor, get_sensor
from eocore.sensors.file_scaling import NO_SCALING, agreed_scaling
from eocore.sensors.fill_values import blank_zeros
from eocore.sensors.grid_changes import GridChange
from eocore.sensors.location import same_crs
from eocore.sensors.orientation import AS_STORED, Turn
from eocore.sensors.ranges import check_values
from eocore.sensors.scaling import stored_as, to_canonical
from eocore.sensors.scene import EXACT_PX, Georeference, Scene

MAX_BYTES = 512_000_000
"""Largest image read at once [bytes], pixels as stored and as float32 together."""

METRES_PER_DEGREE = 111_195.0
"""Of latitude, on the sphere of 6371.0 km mean radius (IUGG)."""

SAME_GRID_PX = 0.01
"""Corners nearer than this lie on the same grid; files write their transforms with rounding errors of 1e-9."""


def read_scene(ref: ImageRef, *, root: Path | None = None, window: Window | None = None, max_bytes: int = MAX_BYTES) -> Scene:
    """The image of `ref`, in canonical units.

    Bands are named by `band_names.name_bands`. Files of coarser pixels are resampled (bilinear) to the finest grid.

    Args:
        ref: one file with all bands, several files in the order of their bands, or the folder of a product as delivered.
        root: folder the paths are relative to and must not leave.
        window: part to read, on the finest grid; None = the part that `ref` names, or all.
        max_bytes: refuse to read more than this.

    Raises:
        DataError: a file is missing, broken, too large, of another location than the others, or holds other numbers than its sensor.
        BandError: the sensor is unknown or the layers do not name its bands.
    """
    sensor = get_sensor(ref.sensor)
    with _opened(ref, root) as (files, ref):
        bands = name_bands(ref, sensor, files=files)
        finest = _finest(files)
        _check_extents(files, finest)
        window = _check_window(window or ref.window, finest)
        _check_bytes(files, window, max_bytes=max_bytes)
        contents = _contents(files, sensor)
        layers = [_read_on_grid(file, finest, window=window, content=content) for file, content in zip(files, contents, strict=True)]
        pixels = layers[0] if len(layers) == 1 else np.concatenate(layers)
        _blank_zeros(pixels, files, contents=contents)
        _check_has_data(pixels, ref, window=window)
        check_values(pixels, sensor, source=ref.paths[0] if len(files) == 1 else f"{ref.paths[0]} and {len(files) - 1} more")
        georeference, gsd_m = _georeference(finest.grid, window)
        path = str(finest.path)
        return Scene(pixels, bands, sensor.name, sensor.unit, gsd_m, georeference, path, role=ref.role, time=ref.time, turn=finest.turn)


@dataclass(frozen=True)
class SceneHeader:
    """What a scene is, without its pixels: height and width [px] of the part that is read, on its finest grid; band names, unit, role and
    time; how it is turned, and what was done to its grid after reading (see `Scene`)."""

    height: int
    width: int
    bands: tuple[str, ...]
    unit: str
    role: str = ""
    turn: Turn = AS_STORED
    time: str = ""
    size_as_read: tuple[int, int] | None = None
    grid_changes: tuple[GridChange, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) [px]."""
        return self.height, self.width

    def changed(self, change: GridChange) -> "SceneHeader":
        """The header after a change of the grid."""
        height, width = change.size(self.size)
        changes = (*self.grid_changes, change)
        return replace(self, height=height, width=width, size_as_read=self.size_as_read or self.size, grid_changes=changes)


def scene_header(ref: ImageRef, *, root: Path | None = None) -> SceneHeader:
    """What `read_scene` would give but the pixels, from the headers of the files alone.

    Raises:
        DataError: a file is missing, its header cannot be read, or the part that `ref` names leaves it.
        BandError: the sensor is unknown or the layers do not name its bands.
    """
    sensor = get_sensor(ref.sensor)
    with _opened(ref, root) as (files, ref):
        finest = _finest(files)
        _, _, height, width = _check_window(ref.window, finest)
        return SceneHeader(height, width, name_bands(ref, sensor, files=files), sensor.unit, ref.role, finest.turn, ref.time)


def scene_georeference(ref: ImageRef, *, root: Path | None = None) -> Georeference | None:
    """Where the part of a scene that `read_scene` reads lies, from the headers of the files alone; None where they do not say.

    Raises:
        DataError: as `scene_header`.
    """
    return scene_ground(ref, root=root)[0]


def scene_ground(ref: ImageRef, *, root: Path | None = None) -> tuple[Georeference | None, float]:
    """`scene_georeference`, and the side of a pixel on the ground [m], NaN where the files do not say.

    Raises:
        DataError: as `scene_header`.
    """
    with _opened(ref, root) as (files, _):
        finest = _finest(files)
        return _georeference(finest.grid, _check_window(ref.window, finest))


def header_as_read(scene: Scene) -> SceneHeader:
    """What `scene_header` would say of a scene that was read, without the changes after reading."""
    height, width = scene.size_as_read or scene.size
    return SceneHeader(height, width, scene.bands, scene.unit, scene.role, scene.turn, scene.time)


def image_size(ref: ImageRef, *, root: Path | None = None) -> tuple[int, int]:
    """(height, width) [px] of the image of `ref` on its finest grid, from the headers alone.

    Raises:
        DataError: a file is missing, its header cannot be read, or the part that `ref` names leaves it.
    """
    with _opened(ref, root) as (files, ref):
        _, _, height, width = _check_window(ref.window, _finest(files))
        return height, width


def read_class_map(path: str, *, root: Path | None = None, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """The (H, W) numbers of a class map or mask, as stored; see `read_class_numbers`."""
    return read_class_numbers(path, root=root, max_bytes=max_bytes)[0]


def read_class_numbers(path: str, *, root: Path | None = None, max_bytes: int = MAX_BYTES) -> tuple[np.ndarray, np.ndarray | None]:
    """The (H, W) numbers of a class map or mask, as stored (of a palette picture, the indexes), and (H, W) True where there is data; None
    where the file marks nothing. North is up where the file is georeferenced.

    Args:
        path: a file of one layer; several are taken where they are all equal (a grey picture saved as RGB).
        root: folder the path is relative to and must not leave.
        max_bytes: refuse to read more than this.

    Raises:
        DataError: the file is missing, broken, too large, of a lossy format, or holds colours.
    """
    file = open_layers(resolve_path(path, root=root), indexed=True)
    try:
        window = (0, 0, *file.size)
        _check_bytes([file], window, max_bytes=max_bytes)
        pixels, valid = file.read(window)
    finally:
        file.close()
    if (pixels[1:] != pixels[:1]).any():
        raise DataError(f"{path}: {pixels.shape[0]} layers that differ; a class map has one. Convert its colours to class numbers first.")
    known = pixels[0] if valid is None else pixels[0][valid[0]]
    if pixels.dtype.kind == "f" and (np.isfinite(known) & (known % 1 != 0)).any():
        raise DataError(
            f"{path}: holds fractions ({known.min():.3g} to {known.max():.3g}), but a mask or class map is made of whole numbers; of a "
            "probability, every pixel above 0 would be the object. Apply its threshold and save it as integers."
        )
    return np.ascontiguousarray(pixels[0]), None if valid is None else np.ascontiguousarray(valid[0])


@contextmanager
def _opened(ref: ImageRef, root: Path | None) -> Iterator[tuple[list[LayerFile], ImageRef]]:
    """The layers to read, and the ref whose `bands` name them: those of a file that are left out, and the folder of a product, are gone."""
    if not ref.paths:
        raise DataError(f"an image of sensor {ref.sensor} names no file. Give it one path, or one a band.")
    files: list[LayerFile] = []
    try:
        remote = ref.remote and any(map(is_remote, ref.paths))
        paths = [] if remote else [resolve_path(path, root=root, folders=True) for path in ref.paths]
        if len(paths) == 1 and paths[0].is_dir():
            choice = ProductChoice(ref.sensor, ref.bands, gsd_m=ref.gsd_m, noise_removal=ref.noise_removal)
            files = open_product(paths[0], choice)
            yield files, replace(ref, bands=())
            return
        _check_plain(ref, paths)
        check_picked_files(paths, get_sensor(ref.sensor))
        files += _open_remote(ref) if remote else []
        for path in paths:
            files.append(_open_item(path, ref.item) if ref.item else open_layers(path))
        if LEFT_OUT in ref.bands:
            check_left_out(ref, get_sensor(ref.sensor), files=files)
        files, bands = leave_out(files, ref.bands)
        yield files, replace(ref, bands=bands)
    finally:
        for file in files:
            file.close()


def _open_item(path: Path, item: str) -> LayerFile:
    """One of the images that a file holds."""
    return VideoFrame(path, item) if is_video(path) else ZarrImage(path, item)


def _open_remote(ref: ImageRef) -> list[LayerFile]:
    """Files of which some lie on a web server, which only a command that was told so asks for."""
    opened: list[LayerFile] = []
    try:
        for path in ref.paths:
            opened.append(open_remote(path) if is_remote(path) else open_layers(resolve_path(path)))
        check_picked_files([file.path for file in opened], get_sensor(ref.sensor))
    except Exception:
        for file in opened:
            file.close()
        raise
    return opened


def _check_plain(ref: ImageRef, paths: Sequence[Path]) -> None:
    """Raise DataError if what only a product's folder has is asked of files, or a folder stands among several paths."""
    folder = next((path for path in paths if path.is_dir()), None)
    if folder:
        raise DataError(f"{folder}: a folder among {len(paths)} paths; the folder of a product is an image by itself. Name it alone.")
    if ref.gsd_m is not None or ref.noise_removal:
        raise DataError(
            f"{ref.paths[0]}: gsd_m and noise_removal are for the folders of products as delivered; a file is read in its own pixels. "
            "Resample it beforehand, or leave them out."
        )


def _finest(files: Sequence[LayerFile]) -> LayerFile:
    return max(files, key=lambda file: file.size[0] * file.size[1])


def _corners(file: LayerFile) -> np.ndarray:
    """(4, 2) corners in the CRS of the file's grid."""
    pixels = _corner_pixels(*file.size)
    return _apply(file.grid.transform, pixels) if file.grid else pixels


def _corner_pixels(height: int, width: int) -> np.ndarray:
    return np.array([(0, 0), (width, 0), (0, height), (width, height)], np.float64)


def _apply(transform: Affine, points: np.ndarray) -> np.ndarray:
    """(P, 2) points x, y behind the transform."""
    a, b, c, d, e, f = transform[:6]
    return points @ np.array([[a, d], [b, e]]) + (c, f)


def _pixel_edge(file: LayerFile) -> float:
    """Length of a pixel's edge, in units of the CRS."""
    return float(np.sqrt(abs(file.grid.transform.determinant))) if file.grid else 1.0


def _check_extents(files: Sequence[LayerFile], finest: LayerFile) -> None:
    """Half a pixel of the coarser file is allowed: grids of one product may be laid on pixel centres (Landsat's panchromatic band).
    Tie points that no grid fits place files of one size alone, pixel on pixel."""
    for file in (file for file in files if file is not finest):
        alike = (file.grid is None) == (finest.grid is None)
        if file.grid and finest.grid:
            alike = same_crs(file.grid.crs, finest.grid.crs)
        misfit_px = max((each.grid.misfit_px for each in (file, finest) if each.grid), default=0.0)
        if misfit_px > EXACT_PX and file.size != finest.size:
            raise DataError(
                f"{file.path} {_describe(file)} and {finest.path} {_describe(finest)} lie at tie points (GCPs) that fit no grid, so pixels "
                "of one size cannot be laid over those of another. Warp both to one map grid (gdalwarp)."
            )
        if not alike or np.abs(_corners(file) - _corners(finest)).max() > (0.5 + misfit_px) * _pixel_edge(file):
            raise DataError(
                f"{file.path} {_describe(file)} and {finest.path} {_describe(finest)} do not cover the same ground; their pixels would be "
                "laid over each other wrongly. Give files of one location, cut to one extent, in one CRS."
            )


def _describe(file: LayerFile) -> str:
    size = f"({file.size[0]} x {file.size[1]} px"
    if file.grid is None:
        return f"{size}, no georeference)"
    left, top = file.grid.transform.c, file.grid.transform.f
    crs = CRS.from_wkt(file.grid.crs).to_string() if file.grid.crs else "no CRS"
    return f"{size} of {_pixel_edge(file):g} from {left:g}, {top:g}, {crs[:60]})"


def _check_window(window: Window | None, finest: LayerFile) -> Window:
    """The part to read with north up; a window that is named counts the pixels of the file as they are stored."""
    if window is None:
        return (0, 0, *finest.size)
    height, width = finest.turn.size(finest.size)
    row, col, rows, cols = window
    if min(row, col) < 0 or min(rows, cols) < 1 or row + rows > height or col + cols > width:
        raise DataError(f"{finest.path}: window (row, col, height, width) = {window} leaves the {height} x {width} px. Move it inside.")
    return finest.turn.turned_window(window, size=finest.size)


def _check_bytes(files: Sequence[LayerFile], window: Window, *, max_bytes: int) -> None:
    num_pixels = window[2] * window[3]
    stored = max(max(file.unit_bytes, len(file.names) * num_pixels * file.dtype.itemsize) for file in files)
    need = stored + sum(len(file.names) for file in files) * num_pixels * np.dtype(np.float32).itemsize
    if need > max_bytes:
        raise DataError(
            f"{files[0].path}: reading {window[2]} x {window[3]} px would take {need / 1e6:,.0f} MB of memory, allowed are "
            f"{max_bytes / 1e6:,.0f} MB. Read a part of it (predict: --window ROW,COL,HEIGHT,WIDTH; records: `window`) or allow more "
            "(predict: --max-bytes 2GB; read_scene: max_bytes); a tiled file takes less for a part."
        )


@dataclass(frozen=True)
class _Content:
    """What the numbers of a file mean: its sensor, and the (scale, offset) of each layer where the file's own are used."""

    sensor: Sensor
    scaling: tuple[tuple[float, float], ...] | None


def _contents(files: Sequence[LayerFile], sensor: Sensor) -> list[_Content]:
    """What the numbers of each file mean.

    Raises:
        DataError: a file's tags contradict the sensor, or only some files have tags of another offset than the sensor's.
    """
    contents = []
    for file in files:
        stored = stored_as(sensor, file.raw_unit)
        contents.append(_Content(stored, agreed_scaling(file.scaling, stored, source=str(file.path))))
    tagged = [file for file, content in zip(files, contents, strict=True) if content.scaling]
    silent = [file for file in files if all(tags == NO_SCALING for tags in file.scaling)]
    if sensor.raw_unit == "dn" and tagged and silent:
        raise DataError(
            f"{tagged[0].path} has tags of scale and offset that differ from those of {sensor.name}, and {silent[0].path} has none; bands "
            "of one image would be scaled differently. Give all files their tags, or none."
        )
    return contents


def _blank_zeros(pixels: np.ndarray, files: Sequence[LayerFile], *, contents: Sequence[_Content]) -> None:
    """Files of reflectance have no number for no data of their own: 0 in all bands is it, as it is of digital numbers."""
    sensor = contents[0].sensor
    if (sensor.unit, sensor.raw_unit) == ("reflectance", "physical") and all(file.raw_unit is None for file in files):  # no product
        scalings = [content.scaling or (NO_SCALING,) * len(file.names) for file, content in zip(files, contents, strict=True)]
        blank_zeros(pixels, np.array([offset for scaling in scalings for _, offset in scaling]))


def _check_has_data(pixels: np.ndarray, ref: ImageRef, *, window: Window) -> None:
    """Raise NoDataError if no pixel holds a value."""
    if not np.isfinite(pixels[:, :1]).any() and not np.isfinite(pixels).any():  # the first row tells of most images
        raise NoDataError(
            f"{ref.paths[0]}: none of its {window[2]} x {window[3]} px holds data (all are nodata, masked, or not finite): the model would "
            "see nothing there. Leave the image out, choose another window, or correct the file's nodata value."
        )


def _read_on_grid(file: LayerFile, finest: LayerFile, *, window: Window, content: _Content) -> np.ndarray:
    """(C, h, w) float32 in the sensor's unit, on the finest grid's `window`."""
    if file is finest or file.grid is None or finest.grid is None or file.grid.misfit_px > EXACT_PX:
        return _read_canonical(file, window, content=content)
    if file.size == finest.size and _apart(file, finest) < SAME_GRID_PX:
        return _read_canonical(file, window, content=content)
    return _resample(file, file.grid, finest=finest.grid, window=window, content=content)


def _apart(file: LayerFile, finest: LayerFile) -> float:
    return float(np.abs(_corners(file) - _corners(finest)).max()) / _pixel_edge(finest)


def _read_canonical(file: LayerFile, window: Window, *, content: _Content) -> np.ndarray:
    digital, valid = file.read(window)
    return to_canonical(digital, content.sensor, source=str(file.path), valid=valid, scaling=content.scaling)


def _resample(file: LayerFile, grid: Grid, *, finest: Grid, window: Window, content: _Content) -> np.ndarray:
    """Bilinear, in the sensor's unit and blind to pixels without data; equal for a window and for the same part of the whole."""
    _, _, height, width = window
    target = _window_transform(finest, window)
    corners = _apply(~grid.transform, _apply(target, _corner_pixels(height, width)))
    far = np.array([file.size[1], file.size[0]])
    left, top = np.clip(np.floor(corners.min(0)).astype(int) - 1, 0, far - 1)  # a pixel more each side: bilinear looks at neighbours
    right, bottom = np.clip(np.ceil(corners.max(0)).astype(int) + 1, (left + 1, top + 1), far)
    part = (int(top), int(left), int(bottom - top), int(right - left))
    pixels = _read_canonical(file, part, content=content)
    resampled = np.full((pixels.shape[0], height, width), np.nan, np.float32)
    crs = CRS.from_wkt(finest.crs) if finest.crs else CRS.from_epsg(3857)  # one CRS on both sides cancels out, but GDAL wants one
    settings = {"src_crs": crs, "dst_crs": crs, "src_nodata": np.nan, "dst_nodata": np.nan, "resampling": Resampling.bilinear}
    try:
        for source, destination in zip(pixels, resampled, strict=True):
            reproject(source, destination, src_transform=_window_transform(grid, part), dst_transform=target, **settings)
    except RasterioError as error:
        raise DataError(f"{file.path}: cannot be laid on the grid of the others ({error}). Check its transform and CRS.") from error
    return resampled


def _window_transform(grid: Grid, window: Window) -> Affine:
    """From pixels of the window to the CRS."""
    a, b, _, d, e, _ = grid.transform[:6]
    corner = _apply(grid.transform, np.array([[window[1], window[0]]], np.float64))[0]
    return Affine(a, b, float(corner[0]), d, e, float(corner[1]))


def _georeference(grid: Grid | None, window: Window) -> tuple[Georeference | None, float]:
    """Georeference and ground sampling distance [m] of the window; (None, NaN) where the file lies nowhere, NaN where it names no CRS."""
    if grid is None:
        return None, float("nan")
    transform = _window_transform(grid, window)
    if not grid.crs:
        return Georeference("", (*transform[:6],), grid.misfit_px), float("nan")
    gsd_m = ground_size_m(CRS.from_wkt(grid.crs), transform, size=window[2:])
    a, b, c, d, e, f = transform[:6]
    return Georeference(grid.crs, (a, b, c, d, e, f), grid.misfit_px), gsd_m


def ground_size_m(crs: CRS, transform: Affine, *, size: tuple[int, int]) -> float:
    """Ground sampling distance of a grid [m]; in degrees, that of its middle latitude.

    Args:
        crs: of the grid.
        transform: from pixels to the CRS.
        size: height, width [px].

    Raises:
        DataError: the CRS has no unit of length.
    """
    edge = float(np.sqrt(abs(transform.determinant)))
    if not crs.is_geographic:
        return edge * _metres_per_unit(crs)
    latitude = _apply(transform, _corner_pixels(*size))[:, 1].mean()
    return edge * METRES_PER_DEGREE * float(np.sqrt(np.cos(np.deg2rad(latitude))))


def _metres_per_unit(crs: CRS) -> float:
    try:
        return float(crs.linear_units_factor[1])
    except CRSError as error:
        raise DataError(
            f"CRS {crs.to_string()[:60]} has no unit of length ({error}); ground sizes would be wrong. Reproject it."
        ) from error
