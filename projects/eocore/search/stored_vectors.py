"""Vectors that are made already, such as those of the tiles of scenes (`eocore.scenes.embedding`), as a source of an index."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eocore.data.io.vector_table import MadeBy, read_vector_table
from eocore.errors import ConfigError, DataError
from eocore.evaluate.embedding_scores import unit_vectors
from eocore.jobs.work import Item, Result
from eocore.search.documents import Document
from eocore.search.index_folder import IMAGES, Space
from eocore.search.sources import Source


@dataclass(frozen=True)
class StoredVectors:
    """Stands for the model that has made vectors, see `eocore.search.encoders.Encoder`; it makes no others.

    Attributes:
        space: of the vectors.
    """

    space: Space

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Raises ConfigError."""
        raise ConfigError(f"vectors of a table alone cannot embed {len(texts)} texts. Name the model with --model.")

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """Raises ConfigError."""
        raise ConfigError(f"vectors of a table alone cannot embed {len(items)} images. Name the model with --model.")


def stored_vectors(paths: Sequence[Path]) -> tuple[StoredVectors, Source]:
    """What made the vectors of tables, and all their rows.

    Args:
        paths: of tables that `eocore.data.io.vector_table` has written.

    Raises:
        ConfigError: the vectors are of different models, or a library is not installed.
        DataError: a table is missing, broken or another; or two have one id.
    """
    spaces: list[Space] = []
    documents: dict[str, Document] = {}
    vectors: list[np.ndarray] = []
    for path in paths:
        made_by, rows = read_vector_table(path)
        spaces.append(_space(made_by))
        if spaces[0].digest != made_by.digest:
            raise ConfigError(
                f"{path}: its vectors are of the model '{made_by.model}' (digest {made_by.digest[:12]}), those of {paths[0]} of "
                f"'{spaces[0].model}' ({spaces[0].digest[:12]}): they cannot be compared. Make an index for each."
            )
        for row in rows:
            if row.id in documents:
                raise DataError(f"{path}: the id '{row.id}' is taken by a row of another table. Embed the scenes of both in one call.")
            documents[row.id] = Document(
                row.id,
                image=row.image,
                time=row.time,
                sensor=row.sensor,
                stamp=row.stamp,
                footprint=row.footprint,
                window=row.window,
            )
            vectors.append(row.vector)
    unit = unit_vectors(np.stack(vectors))
    items = [Item(key, {}) for key in documents]
    return StoredVectors(spaces[0]), Source(items, documents, vectors=dict(zip(documents, unit, strict=True)))


def _space(made_by: MadeBy) -> Space:
    return Space(IMAGES, made_by.model, made_by.digest, made_by.path)
