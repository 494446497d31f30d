"""Zero-shot classification and text-to-image retrieval over image files, with the tables of the upstream commands."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from eocore.errors import BandError, ConfigError, DataError
from eocore.evaluate.embedding_scores import class_prompts, unit_vectors
from eocore.log import get_logger
from eocore.predict.image_files import ImageFile, read_images, tell_sensor
from eocore.predict.inputs import OPTICAL
from eocore.progress import Progress
from ms_clip.upstream.lists import image_paths
from ms_clip.upstream.models import Loaded
from ms_clip.upstream.templates import find_templates

SCALE = 100.0
"""Of cosines before the softmax. Source: IBM/MS-CLIP at 9dbeb33, and openai/CLIP's zero-shot notebook."""
DECIMALS = 3
TEXTS_AT_ONCE = 256
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


def classify_images(
    loaded: Loaded,
    images: str | Path | Sequence[str | Path],
    *,
    class_names: Sequence[str],
    templates: str = "msclip",
    reading: Reading | None = None,
) -> pd.DataFrame:
    """Columns Image, Class (the most likely), and the probability of each class: the softmax of 100 times the cosines, 3 decimals.

    Args:
        loaded: what `build_model` returns.
        images: see `lists.image_paths`.
        class_names: at least one, each once.
        templates: clip, msclip or rs5m.
        reading: of the files.

    Raises:
        ConfigError: no class, one twice, or unknown templates.
        DataError: an image is missing, cannot be read, or does not fit the model.
    """
    prompts = class_prompts(list(class_names), find_templates(templates))
    paths = image_paths(images)
    vectors = [_embed_texts(loaded, texts).mean(0) for texts in prompts.texts]
    classes = unit_vectors(np.stack(vectors))
    rows = []
    for path, vector in zip(paths, _embed_images(loaded, paths, reading=reading or Reading()), strict=True):
        scores = SCALE * classes @ vector
        chances = np.exp(scores - scores.max())
        chances /= chances.sum()
        rows.append([path.name, prompts.classes[int(chances.argmax())], *np.round(chances.astype(float), DECIMALS)])
    return pd.DataFrame(rows, columns=["Image", "Class", *prompts.classes])


def retrieve_images(
    loaded: Loaded,
    images: str | Path | Sequence[str | Path],
    *,
    queries: Sequence[str],
    top_k: int = 5,
    reading: Reading | None = None,
) -> pd.DataFrame:
    """Indexed by Query and Rank, columns Image and Similarity (the cosine); fewer rows where there are fewer images, with a note.

    Args:
        loaded, images, reading: as `classify_images`.
        queries: at least one, each once.
        top_k: images of each query, at least 1.

    Raises:
        ConfigError: no query, one twice or empty, or top_k below 1.
        DataError: as `classify_images`.
    """
    if top_k < 1:
        raise ConfigError(f"top_k is {top_k}, expected at least 1.")
    if not queries or len(set(queries)) < len(queries) or not all(query.strip() for query in queries):
        raise ConfigError("queries: expected at least one, each once and none empty.")
    paths = image_paths(images)
    if top_k > len(paths):
        get_logger().warning("top_k is %d, but there are %d images: each query has %d rows.", top_k, len(paths), len(paths))
    gallery = np.stack(list(_embed_images(loaded, paths, reading=reading or Reading())))
    rows, index = [], []
    for query, vector in zip(queries, _embed_texts(loaded, queries), strict=True):
        cosines = gallery @ vector
        for rank, number in enumerate(np.argsort(-cosines, kind="stable")[:top_k], start=1):
            rows.append([paths[int(number)].name, float(cosines[number])])
            index.append((query, rank))
    return pd.DataFrame(rows, columns=["Image", "Similarity"], index=pd.MultiIndex.from_tuples(index, names=["Query", "Rank"]))


def _embed_texts(loaded: Loaded, texts: Sequence[str]) -> np.ndarray:
    """(M, D) of length 1."""
    parts = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        try:
            ids = loaded.tokenizer(list(texts[start : start + TEXTS_AT_ONCE]))
        except ValueError as error:
            raise DataError(str(error)) from error
        with torch.no_grad():
            parts.append(loaded.model.encode_text(ids.to(loaded.model.device)).float().cpu().numpy())
    return unit_vectors(np.concatenate(parts))


def _embed_images(loaded: Loaded, paths: Sequence[Path], *, reading: Reading) -> Iterator[np.ndarray]:
    """(D,) of each image, of length 1, a batch at a time."""
    sensors = {path: reading.sensor or tell_sensor(OPTICAL, (str(path),)) for path in paths}
    if reading.sensor is None:
        told = ", ".join(f"{sensor} ({count})" for sensor, count in Counter(sensors.values()).items())
        get_logger().info("sensors told from the files: %s; --sensor NAME names another", told)
    with Progress("images", len(paths), unit="images") as progress, ThreadPoolExecutor(READERS) as pool:
        begun: list[list[Future[Tensor]]] = []
        for start in range(0, len(paths) + reading.batch_size, reading.batch_size):
            part = paths[start : start + reading.batch_size]
            begun.append([pool.submit(_pixels, loaded, path, sensor=sensors[path]) for path in part])
            if len(begun) > 1:  # the next batch is being read meanwhile
                pixels = torch.stack([future.result() for future in begun.pop(0)])
                with torch.no_grad():
                    vectors = loaded.model.encode_image(pixels.to(loaded.model.device)).float().cpu().numpy()
                progress.advance(len(pixels))
                yield from unit_vectors(vectors)


def _pixels(loaded: Loaded, path: Path, *, sensor: str) -> Tensor:
    scenes = read_images({OPTICAL: ImageFile((str(path),), sensor=sensor)})
    try:
        return loaded.preprocess(scenes)
    except ValueError as error:
        raise BandError(f"{path}: {error}") from error
