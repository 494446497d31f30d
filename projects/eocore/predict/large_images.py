"""Images of any size, read part by part and reduced to so many tiles as a model is to see."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
from PIL import Image

from eocore.data.io.readers import MAX_BYTES, SceneHeader, read_scene, scene_ground, scene_header
from eocore.data.io.scene_sets import check_scenes
from eocore.data.records import ImageRef, Window
from eocore.errors import ConfigError, DataError, NoDataError
from eocore.log import get_logger
from eocore.portable.image_tiling import tile_grid
from eocore.predict.image_files import ImageFile, image_refs
from eocore.sensors.scene import Georeference, Scene

MOST_TILES = 4096
"""Of 256 tokens each, compressed eightfold, they fill 131,072 positions, all that large language models have: no answer could follow."""
Part = tuple[int, int]
"""First pixel of an axis and the one after the last."""


def read_reduced(files: Mapping[str, ImageFile], *, num_tiles: int, side: int, max_bytes: int | None = None) -> dict[str, Scene]:
    """The scenes of one location, by role, with a tile's pixels for each of up to so many parts; no more than a part is read at once.

    Values of a pixel are means of those it covers; an image that is smaller than its tiles is read as it is.

    Args:
        files: as `read_images`.
        num_tiles: most parts of an image.
        side: of a tile [px].
        max_bytes: refuse to read more than this at once; None = MAX_BYTES of the readers.

    Raises:
        ConfigError: more tiles than MOST_TILES.
        DataError: as `read_images`, or no part holds data.
    """
    check_tiles(num_tiles)
    refs = image_refs(files)
    scenes = tuple(_read(ref, num_tiles=num_tiles, side=side, max_bytes=max_bytes or MAX_BYTES) for ref in refs.values())
    check_scenes(tuple(refs.values()), scenes, source=" and ".join(refs))
    return dict(zip(refs, scenes, strict=True))


def check_tiles(num_tiles: int) -> None:
    """Raise ConfigError if an image is to be cut into more tiles than MOST_TILES."""
    if num_tiles > MOST_TILES:
        raise ConfigError(
            f"--tiles {num_tiles}: at most {MOST_TILES:,}. Of 256 tokens each, these are a million. Compressed by 8 (--long compress:8) "
            "they fill 131,072 positions, as many as large language models have. Take fewer, or ask about parts (--window)."
        )


def _read(ref: ImageRef, *, num_tiles: int, side: int, max_bytes: int) -> Scene:
    header = scene_header(ref)
    rows, columns = tile_grid(header.height, header.width, tile_size=side, max_tiles=num_tiles)
    height, width = min(rows * side, header.height), min(columns * side, header.width)
    if (height, width) == header.size:
        return read_scene(ref, max_bytes=max_bytes)
    get_logger().warning(
        "%s: %d x %d px are read as %d x %d, each the mean of %.1f x %.1f: what is smaller is lost; more --tiles keep more",
        *(ref.paths[0], header.height, header.width, height, width, header.height / height, header.width / width),
    )
    whole, example = np.full((len(header.bands), height, width), np.nan, np.float32), None
    for window, (top, bottom), (left, right) in _parts(header, grid=(rows, columns), size=(height, width)):
        own = ref.window or (0, 0, header.height, header.width)
        part = replace(ref, window=(own[0] + window[0], own[1] + window[1], window[2], window[3]))
        try:
            scene = read_scene(part, max_bytes=max_bytes)
        except NoDataError:
            continue
        whole[:, top:bottom, left:right] = reduce_pixels(scene.pixels, (bottom - top, right - left))
        example = scene
    if example is None:
        raise DataError(f"{ref.paths[0]}: no pixel holds data. Name another image.")
    return _placed(ref, header, pixels=whole, example=example)


def _parts(header: SceneHeader, *, grid: tuple[int, int], size: tuple[int, int]) -> Iterator[tuple[Window, Part, Part]]:
    """(window to read, rows and columns it becomes) of each part."""
    (rows, columns), (height, width) = grid, size
    for (top, bottom), (first, last) in zip(_cuts(header.height, rows), _cuts(height, rows), strict=True):
        for (left, right), (start, end) in zip(_cuts(header.width, columns), _cuts(width, columns), strict=True):
            yield (top, left, bottom - top, right - left), (first, last), (start, end)


def _cuts(length: int, count: int) -> list[Part]:
    return list(pairwise(round(length * number / count) for number in range(count + 1)))


def reduce_pixels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(C, h, w) means of (C, H, W) float32 over what each new pixel covers, without pixels that hold no data; NaN where none does."""
    height, width = size
    reduced = np.empty((len(pixels), height, width), np.float32)
    for layer, target in zip(pixels, reduced, strict=True):
        known = np.isfinite(layer)
        total = _box(np.where(known, layer, 0), size)
        share = _box(known.astype(np.float32), size)
        target[:] = np.divide(total, share, out=np.full(size, np.nan, np.float32), where=share > 0)
    return reduced


def _box(layer: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(layer.astype(np.float32)).resize((size[1], size[0]), Image.Resampling.BOX))


def _placed(ref: ImageRef, header: SceneHeader, *, pixels: np.ndarray, example: Scene) -> Scene:
    """The reduced scene where the image lies."""
    georeference, gsd_m = scene_ground(ref)
    down, across = header.height / pixels.shape[1], header.width / pixels.shape[2]
    if georeference is not None:
        a, b, c, d, e, f = georeference.transform
        georeference = Georeference(georeference.crs, (a * across, b * down, c, d * across, e * down, f), georeference.misfit_px)
    return replace(example, pixels=pixels, georeference=georeference, gsd_m=gsd_m * float(np.sqrt(down * across)))
