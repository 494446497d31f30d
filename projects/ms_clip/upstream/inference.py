"""Zero-shot classification, and retrieval by texts or by images, over image files, with the tables of the upstream commands."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from eocore.errors import ConfigError, DataError
from eocore.evaluate.embedding_scores import class_prompts, unit_vectors
from eocore.log import get_logger
from ms_clip.upstream.embedding import Reading, embed_files, embed_texts
from ms_clip.upstream.lists import image_paths
from ms_clip.upstream.models import Loaded
from ms_clip.upstream.templates import find_templates

SCALE = 100.0
"""Of cosines before the softmax. Source: IBM/MS-CLIP at 9dbeb33, and openai/CLIP's zero-shot notebook."""
DECIMALS = 3


def classify_images(
    loaded: Loaded,
    images: str | Path | Sequence[str | Path],
    *,
    class_names: Sequence[str],
    templates: str = "msclip",
    reading: Reading | None = None,
) -> pd.DataFrame:
    """Columns Image, Class (the most likely), and the probability of each class: the softmax of 100 times the cosines, 3 decimals.

    An image is called by the name of its file, or by its path where two have one name.

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
    vectors = [embed_texts(loaded, texts).mean(0) for texts in prompts.texts]
    classes = unit_vectors(np.stack(vectors))
    rows = []
    for path, vector in embed_files(loaded, paths, reading=reading or Reading()):
        scores = SCALE * classes @ vector
        chances = np.exp(scores - scores.max())
        chances /= chances.sum()
        rows.append([path, prompts.classes[int(chances.argmax())], *np.round(chances.astype(float), DECIMALS)])
    table = pd.DataFrame(rows, columns=["Image", "Class", *prompts.classes])
    table["Image"] = _names(table["Image"])
    return table


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
    if not queries or len(set(queries)) < len(queries) or not all(query.strip() for query in queries):
        raise ConfigError("queries: expected at least one, each once and none empty.")
    vectors = embed_texts(loaded, queries)  # a text that does not fit is told before images are read
    paths, gallery = _gallery(loaded, images, top_k=top_k, reading=reading or Reading())
    found = ((query, _ranked(gallery @ vector, top_k)) for query, vector in zip(queries, vectors, strict=True))
    return _table(found, paths)


def retrieve_similar_images(
    loaded: Loaded,
    images: str | Path | Sequence[str | Path],
    *,
    query_images: str | Path | Sequence[str | Path],
    top_k: int = 5,
    reading: Reading | None = None,
) -> pd.DataFrame:
    """As `retrieve_images`, of queries that are images; one that is itself among the images is not its own answer.

    Args:
        loaded, images, reading: as `classify_images`.
        query_images: as `images`; each once.
        top_k: images of each query, at least 1.

    Raises:
        ConfigError: top_k is below 1.
        DataError: as `classify_images`.
    """
    asked = image_paths(query_images)
    paths, gallery = _gallery(loaded, images, top_k=top_k, reading=reading or Reading())
    own = {path.resolve(): number for number, path in enumerate(paths)}
    others = [path for path in asked if path.resolve() not in own]
    if len(others) < len(asked):
        if len(paths) == 1:
            raise DataError(f"{paths[0]} is the query and the only image, so there is no other to find. Name more images.")
        get_logger().info("%d of %d query images are among the images; none is its own answer", len(asked) - len(others), len(asked))
    vectors = dict(embed_files(loaded, others, reading=reading or Reading())) if others else {}
    found, usable = [], [path for path in asked if path in vectors or path.resolve() in own]
    for name, path in zip(_names(usable), usable, strict=True):
        place = own.get(path.resolve())
        ranked = _ranked(gallery @ (vectors[path] if place is None else gallery[place]), len(gallery))
        found.append((name, [item for item in ranked if item[0] != place][:top_k]))
    return _table(found, paths)


Ranking = list[tuple[int, float]]
"""Index of an image and its cosine, the nearest first."""


def _names(paths: Iterable[Path]) -> list[str]:
    """Of each image the file's name, or the whole path where two have one name."""
    paths = list(paths)
    times = Counter(path.name for path in paths)
    return [path.name if times[path.name] == 1 else str(path) for path in paths]


def check_top_k(top_k: int) -> None:
    """Raise ConfigError if it is below 1."""
    if top_k < 1:
        raise ConfigError(f"top_k is {top_k}, expected at least 1.")


def _gallery(loaded: Loaded, images: str | Path | Sequence[str | Path], *, top_k: int, reading: Reading) -> tuple[list[Path], np.ndarray]:
    """N images and their vectors (N, D), with a note where there are fewer than asked for. Raise ConfigError if top_k is below 1."""
    check_top_k(top_k)
    vectors = dict(embed_files(loaded, image_paths(images), reading=reading))
    if top_k > len(vectors):
        get_logger().warning("top_k is %d, but there are %d images: each query has %d rows.", top_k, len(vectors), len(vectors))
    return list(vectors), np.stack(list(vectors.values()))


def _ranked(cosines: np.ndarray, top_k: int) -> Ranking:
    return [(int(number), float(cosines[number])) for number in np.argsort(-cosines, kind="stable")[:top_k]]


def _table(found: Iterable[tuple[str, Ranking]], paths: Sequence[Path]) -> pd.DataFrame:
    rows, index, names = [], [], _names(paths)
    for query, ranking in found:
        rows += [[names[number], cosine] for number, cosine in ranking]
        index += [(query, rank) for rank in range(1, len(ranking) + 1)]
    return pd.DataFrame(rows, columns=["Image", "Similarity"], index=pd.MultiIndex.from_tuples(index, names=["Query", "Rank"]))
