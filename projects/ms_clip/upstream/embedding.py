"""Vectors of image files and texts, by a model as `build_model` returns it."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eocore.errors import BandError, ConfigError, DataError
from eocore.evaluate.embedding_scores import unit_vectors
from eocore.log import get_logger
from eocore.predict.image_files import ImageFile, read_images, tell_sensor
from eocore.predict.inputs import OPTICAL
from eocore.progress import Progress
from eocore.text import some_of
from ms_clip.predictor import ModelPredictor
from ms_clip.upstream.models import Loaded

READERS = 4
"""Threads that read images while the model embeds earlier ones."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How image files are read.

    Attributes:
        sensor: name in the sensor registry; None = told from each file.
        bands: names of the layers in order, where the files do not name them and hold others than the sensor's own; "-" leaves one out.
        batch_size: images that go through the model together.
        skip_broken: leave out files that cannot be read or do not fit the model, and name them in the log; else the first one is an error.
    """

    sensor: str | None = None
    bands: tuple[str, ...] = ()
    batch_size: int = 32
    skip_broken: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch size is {self.batch_size}, expected at least 1.")


def embed_texts(loaded: Loaded, texts: Sequence[str]) -> np.ndarray:
    """(M, D) of length 1. Raises DataError where a text is empty or too long."""
    return ModelPredictor(loaded.model, loaded.tokenizer.processor).embed_texts(texts)


def embed_files(loaded: Loaded, paths: Sequence[Path], *, reading: Reading) -> Iterator[tuple[Path, np.ndarray]]:
    """Each image and its vector (D,) of length 1; a batch goes through the model while the next is being read.

    Args:
        loaded: what `build_model` returns.
        paths: image files.
        reading: of the files.

    Raises:
        DataError: a file cannot be read, or does not fit the model; where such files are skipped, none is left.
        BandError: its sensor cannot be told.
    """
    faults: dict[Path, DataError] = {}
    sensors = _told_sensors(paths, reading, faults=faults)
    known = list(sensors)
    with Progress("images", len(paths), unit="images") as progress, ThreadPoolExecutor(READERS) as pool:
        progress.advance(len(paths) - len(known))
        begun: deque[dict[Path, Future[Tensor]]] = deque()
        for start in range(0, len(known) + reading.batch_size, reading.batch_size):
            part = known[start : start + reading.batch_size]
            begun.append({path: pool.submit(read_pixels, loaded, path, sensor=sensors[path], bands=reading.bands) for path in part})
            if len(begun) > 1:  # the next batch is being read meanwhile
                batch = begun.popleft()
                pixels = _read(batch, faults=faults if reading.skip_broken else None)
                if pixels:
                    yield from zip(pixels, _embed(loaded, list(pixels.values())), strict=True)
                progress.advance(len(batch))
    tell_faults(faults, num_images=len(paths))


def _told_sensors(paths: Sequence[Path], reading: Reading, *, faults: dict[Path, DataError]) -> dict[Path, str]:
    """Sensor of each file; those of which it cannot be told become faults. Raise BandError for the first, unless they are skipped."""
    if reading.sensor is not None:
        return dict.fromkeys(paths, reading.sensor)
    sensors: dict[Path, str] = {}
    for path in paths:
        try:
            sensors[path] = tell_sensor(OPTICAL, (str(path),), bands=reading.bands)
        except DataError as error:
            if not reading.skip_broken:
                raise
            faults[path] = error
    told = ", ".join(f"{sensor} ({count})" for sensor, count in Counter(sensors.values()).items())
    get_logger().info("sensors told from the files: %s; --sensor NAME names another", told or "none")
    return sensors


def _read(batch: Mapping[Path, Future[Tensor]], *, faults: dict[Path, DataError] | None) -> dict[Path, Tensor]:
    """Pixels of a batch. Raise DataError where one is broken, unless it is to be noted among `faults`."""
    pixels = {}
    for path, future in batch.items():
        try:
            pixels[path] = future.result()
        except DataError as error:
            if faults is None:
                raise
            faults[path] = error
    return pixels


@torch.no_grad()
def _embed(loaded: Loaded, pixels: Sequence[Tensor]) -> np.ndarray:
    """(N, D) of length 1."""
    return unit_vectors(loaded.model.encode_image(torch.stack(list(pixels)).to(loaded.model.device)).float().cpu().numpy())


def tell_faults(faults: Mapping[Path, DataError], *, num_images: int) -> None:
    """Names what was left out. Raise DataError if that was everything."""
    if not faults:
        return
    told = some_of([str(error) for error in faults.values()])
    if len(faults) == num_images:
        raise DataError(f"none of the {num_images} images can be used: {told}")
    get_logger().warning("%d of %d images are left out: %s", len(faults), num_images, told)


def read_pixels(loaded: Loaded, path: Path, *, sensor: str, bands: tuple[str, ...] = ()) -> Tensor:
    """(C, S, S) of a file. Raises DataError where it cannot be read, or does not fit the model."""
    scenes = read_images({OPTICAL: ImageFile((str(path),), sensor=sensor, bands=bands)})
    try:
        return loaded.preprocess(scenes)
    except ValueError as error:
        raise BandError(f"{path}: {error}") from error
