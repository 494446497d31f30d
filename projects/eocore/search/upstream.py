"""The index folders of the upstream bridge of OlmoEarth and Moondream: `embeddings.npy`, `metadata.pkl`, `faiss_index.bin`.

Source: its `tools/indexing/`. metadata.pkl is {"items": [{"image_id", "caption", "image_path"}], "total_count": N}; embeddings are the unit
vectors of the captions by all-MiniLM-L6-v2. FAISS's file holds the same vectors and is not read: the index is made anew and measured.
"""

from pathlib import Path
from typing import Any

import numpy as np

from eocore.data.io.file_digests import stamp
from eocore.data.io.safe_pickle import read_plain_pickle
from eocore.errors import DataError
from eocore.evaluate.embedding_scores import unit_vectors
from eocore.search.building import write_new
from eocore.search.documents import Document, as_table
from eocore.search.encoders import SentenceEncoder
from eocore.search.index_folder import Facts

VECTORS, METADATA = "embeddings.npy", "metadata.pkl"
NUM_COMPARED = 16
"""Captions that are embedded again, to see that the vectors are of this encoder."""
LEAST_COSINE = 0.99
"""Between a vector of the folder and the one of its caption; 32-bit arithmetic of other machines differs in the sixth decimal."""


def import_captions(source: Path, folder: Path, *, encoder: SentenceEncoder, kind: str | None = None) -> Facts:
    """An index of the captions of an upstream folder; nothing of it is embedded again but for a few captions that are compared.

    Args:
        source: upstream's `semantic_search_index/`.
        folder: of the new index.
        encoder: that the vectors were made with.
        kind: see `index_kinds`; None = by the number of items.

    Raises:
        DataError: a file is missing or broken, they disagree, or the vectors are of another encoder.
        OutputError: the folder cannot be written.
    """
    items, vectors = _read_items(source / METADATA), _read_vectors(source / VECTORS)
    if len(items) != len(vectors):
        raise DataError(f"{source}: {len(vectors)} vectors for {len(items)} items; they do not belong together. Copy the folder again.")
    captions = [str(item["caption"]) for item in items]
    rows = np.linspace(0, len(items) - 1, min(NUM_COMPARED, len(items))).astype(int)
    width = encoder.texts(captions[:1]).shape[1]
    if vectors.shape[1] != width:
        raise DataError(
            f"{source}: vectors of width {vectors.shape[1]}; '{encoder.space.model}' makes vectors of {width}. Name the encoder that made "
            "them with --encoder."
        )
    cosines = (encoder.texts([captions[row] for row in rows]) * vectors[rows]).sum(axis=1)
    if cosines.min() < LEAST_COSINE:
        raise DataError(
            f"{source / VECTORS}: the vectors are not those of the captions by '{encoder.space.model}' (least cosine {cosines.min():.3f}, "
            f"expected {LEAST_COSINE}): of images, or of another encoder. Name that one with --encoder; build image indexes anew."
        )
    counts: dict[str, int] = {}
    documents = []
    for item, caption in zip(items, captions, strict=True):
        name = str(item["image_id"])
        number = counts.setdefault(name, 0)
        counts[name] += 1
        documents.append(Document(f"{name}#{number}", image=str(item["image_path"] or ""), caption=caption, stamp=stamp(caption)))
    return write_new(folder, encoder.space, vectors=vectors, table=as_table(documents), kind=kind)


def _read_items(path: Path) -> list[dict[str, Any]]:
    found = read_plain_pickle(path)
    items = found.get("items") if isinstance(found, dict) else None
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) and _is_item(item) for item in items):
        raise DataError(f"{path}: expected items with image_id, image_path and a caption each. Copy the folder again.")
    return items


def _is_item(item: dict[str, Any]) -> bool:
    return {"image_id", "caption", "image_path"} <= item.keys() and isinstance(item["caption"], str) and bool(item["caption"].strip())


def _read_vectors(path: Path) -> np.ndarray:
    if not path.is_file():
        raise DataError(f"{path}: the file is missing. Name a folder with {VECTORS} and {METADATA}.")
    try:
        vectors = np.load(path, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: no vectors that can be read ({error}). Copy the folder again.") from error
    if vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise DataError(f"{path}: {vectors.shape} {vectors.dtype}; expected a row of floats for each item. Copy the folder again.")
    return unit_vectors(vectors)
