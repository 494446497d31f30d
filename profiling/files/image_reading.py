"""One image from a file to the tile that a model is shown: our reader and processor beside rasterio, OpenCV and torch, each at its best."""

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import rasterio
import torch
from PIL import Image
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning

from eocore.data.io.readers import read_scene
from eocore.portable.vision_layout import lay_out
from profiling.files.image_kinds import KINDS, PICTURE, TILE_PX, ImageKind
from profiling.files.page_cache import COLD, possible_states, put
from profiling.measures.timing import Times, time_in_turn, time_once

OURS, READER = "ours", "our reader"
"""From file to tile, and of it the part up to the scene in its sensor's unit."""
Read = Callable[[], np.ndarray]
"""(C, P, P) uint8: the shown bands of a file as one tile."""
MS = 1000.0


def measure_reading(
    kinds: Sequence[ImageKind] = KINDS, *, repeats: int = 5, of_processor: bool = False, tile_px: int = TILE_PX, size_px: int | None = None
) -> list[dict[str, float | str]]:
    """A row for each kind of file: milliseconds of an image, all sides in turn, on one thread as in a loader's process.

    Args:
        kinds: of files; they are written to a temporary folder.
        repeats: timings of each side; the fastest counts.
        of_processor: count the time of the processor; what the files take when they are out of the page cache is then left out.
        tile_px: side of the tile.
        size_px: side of the images; None = each kind's own.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder, _one_thread():
        for kind in kinds:
            path = kind.write(Path(folder), size_px=size_px)
            works = readers(kind, path, tile_px=tile_px)
            reader = {READER: partial(read_scene, kind.reference(path))}
            times = time_in_turn({**works, **reader}, repeats=repeats, of_processor=of_processor)
            row = _row(kind, times)
            if not of_processor and COLD in possible_states([path]):
                cold = _time_cold(works, path, repeats=repeats)
                row |= {"ours cold ms": MS * cold[OURS].best, "best cold / ours": _best_other(cold)[1] / cold[OURS].best}
            rows.append(row)
    return rows


def _row(kind: ImageKind, times: Mapping[str, Times]) -> dict[str, float | str]:
    name, best = _best_other(times)
    figures = {f"{side} ms": MS * times[side].best if side in times else "-" for side in (*SIDES, READER)}
    return {"kind": kind.name, **figures, "best other": name, "best / ours": best / times[OURS].best}


def _best_other(times: Mapping[str, Times]) -> tuple[str, float]:
    """Name and seconds of the fastest of the others."""
    return min(((name, found.best) for name, found in times.items() if name not in (OURS, READER)), key=lambda pair: pair[1])


def _time_cold(works: Mapping[str, Read], path: Path, *, repeats: int) -> dict[str, Times]:
    """Times with the file out of the page cache before each call."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            put([path], COLD)
            seconds[name].append(time_once(work))
    return {name: Times(tuple(values)) for name, values in seconds.items()}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Within it, torch and OpenCV compute on one thread; GDAL and Pillow always do. Pictures without a georeference are no surprise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with ExitStack() as after:
        after.callback(torch.set_num_threads, before)
        after.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        if find_spec("cv2"):
            import cv2

            after.callback(cv2.setNumThreads, cv2.getNumThreads())
            cv2.setNumThreads(1)
        yield


def readers(kind: ImageKind, path: Path, *, tile_px: int = TILE_PX) -> dict[str, Read]:
    """Side -> what reads the file; OpenCV only where it is installed."""
    return {name: partial(read, kind, path, tile_px=tile_px) for name, read in SIDES.items() if name != "OpenCV" or find_spec("cv2")}


def _read_ours(kind: ImageKind, path: Path, *, tile_px: int) -> np.ndarray:
    """As a training does: the reader, then what the processor makes of the scene."""
    scene = read_scene(kind.reference(path))
    return lay_out({"image": scene}, kind.vision(tile_px)).tiles[0].numpy()


def _read_rasterio(kind: ImageKind, path: Path, *, tile_px: int) -> np.ndarray:
    """Only the shown bands, brought to the tile's size while they are read."""
    with rasterio.open(path) as file:
        shape = (len(kind.shown), tile_px, tile_px)
        return _shown(kind, file.read(kind.indexes, out_shape=shape, resampling=Resampling.bilinear))


def _read_opencv(kind: ImageKind, path: Path, *, tile_px: int) -> np.ndarray:
    """Pictures decoded and resized by OpenCV; of rasters, of which it opens neither many bands nor these floats, resized alone."""
    import cv2

    if kind.sensor == PICTURE:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert picture is not None
        small = cv2.resize(picture, (tile_px, tile_px), interpolation=cv2.INTER_AREA)
        return cv2.cvtColor(small, cv2.COLOR_BGR2RGB).transpose(2, 0, 1)
    layers = [cv2.resize(layer, (tile_px, tile_px), interpolation=cv2.INTER_AREA) for layer in _layers(kind, path)]
    return np.stack([_shown(kind, layer) for layer in layers])


def _read_torch(kind: ImageKind, path: Path, *, tile_px: int) -> np.ndarray:
    """torch has no decoder: Pillow's for pictures, rasterio's for rasters; resized with antialiasing, as uint8 where they are that."""
    if kind.sensor == PICTURE:
        pixels = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)  # a view, channels last: what torch resizes fastest
    else:
        pixels = torch.from_numpy(_layers(kind, path).astype(np.float32))
    small = torch.nn.functional.interpolate(pixels[None], (tile_px, tile_px), mode="bilinear", antialias=True, align_corners=False)[0]
    return _shown(kind, small.numpy())


def _layers(kind: ImageKind, path: Path) -> np.ndarray:
    """(C, H, W) the shown bands as stored."""
    with rasterio.open(path) as file:
        return np.asarray(file.read(kind.indexes))


def _shown(kind: ImageKind, numbers: np.ndarray) -> np.ndarray:
    """Stored numbers as uint8 between the kind's limits; no data is not looked for."""
    if kind.sensor == PICTURE:
        return numbers
    factor = 255.0 * kind.scale / (kind.high - kind.low)
    values = np.multiply(numbers, np.float32(factor), dtype=np.float32)
    values -= np.float32(255.0 * kind.low / (kind.high - kind.low) - 0.5)
    return np.clip(values, 0, 255, out=values).astype(np.uint8)


SIDES: Mapping[str, Callable[..., np.ndarray]] = {
    OURS: _read_ours,
    "rasterio": _read_rasterio,
    "OpenCV": _read_opencv,
    "torch": _read_torch,
}
"""Name -> what reads a file of a kind, (kind, path, *, tile_px) -> the tile."""
