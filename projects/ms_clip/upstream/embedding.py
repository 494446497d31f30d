"""Vectors of image files and texts, by a model as `build_model` returns it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eocore.errors import BandError, ConfigError
from eocore.evaluate.embedding_scores import unit_vectors
from eocore.log import get_logger
from eocore.predict.image_files import ImageFile, read_images, tell_sensor
from eocore.predict.inputs import OPTICAL
from eocore.progress import Progress
from ms_clip.predictor import ModelPredictor
from ms_clip.upstream.models import Loaded

READERS = 4
"""Threads that read images while the model embeds earlier ones."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How image files are read.

    Attributes:
        sensor: name in the sensor registry; None = told from each file.
        batch_size: images that go through the model together.
    """

    sensor: str | None = None
    batch_size: int = 32

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch size is {self.batch_size}, expected at least 1.")


def embed_texts(loaded: Loaded, texts: Sequence[str]) -> np.ndarray:
    """(M, D) of length 1. Raises DataError where a text is empty or too long."""
    return ModelPredictor(loaded.model, loaded.tokenizer.processor).embed_texts(texts)


def embed_files(loaded: Loaded, paths: Sequence[Path], *, reading: Reading) -> Iterator[np.ndarray]:
    """(D,) of each image, of length 1; a batch goes through the model while the next is being read.

    Args:
        loaded: what `build_model` returns.
        paths: image files.
        reading: of the files.

    Raises:
        DataError: a file cannot be read, or does not fit the model.
        BandError: its sensor cannot be told.
    """
    sensors = {path: reading.sensor or tell_sensor(OPTICAL, (str(path),)) for path in paths}
    if reading.sensor is None:
        told = ", ".join(f"{sensor} ({count})" for sensor, count in Counter(sensors.values()).items())
        get_logger().info("sensors told from the files: %s; --sensor NAME names another", told)
    with Progress("images", len(paths), unit="images") as progress, ThreadPoolExecutor(READERS) as pool:
        begun: list[list[Future[Tensor]]] = []
        for start in range(0, len(paths) + reading.batch_size, reading.batch_size):
            part = paths[start : start + reading.batch_size]
            begun.append([pool.submit(read_pixels, loaded, path, sensor=sensors[path]) for path in part])
            if len(begun) > 1:  # the next batch is being read meanwhile
                pixels = torch.stack([future.result() for future in begun.pop(0)])
                with torch.no_grad():
                    vectors = loaded.model.encode_image(pixels.to(loaded.model.device)).float().cpu().numpy()
                progress.advance(len(pixels))
                yield from unit_vectors(vectors)


def read_pixels(loaded: Loaded, path: Path, *, sensor: str) -> Tensor:
    """(C, S, S) of a file. Raises DataError where it cannot be read, or does not fit the model."""
    scenes = read_images({OPTICAL: ImageFile((str(path),), sensor=sensor)})
    try:
        return loaded.preprocess(scenes)
    except ValueError as error:
        raise BandError(f"{path}: {error}") from error
