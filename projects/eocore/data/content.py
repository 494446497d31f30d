"""What the samples of a training are made from, as digests: the same on another disk, another after an edit."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eocore.data.dataset import RecordDataset, SampleSource
from eocore.data.io.file_digests import ABSENT, file_digest
from eocore.data.records import ImageRef, Record
from eocore.errors import DataError

NUM_IMAGES = 64
"""Records of a dataset whose image files are looked at, spread evenly: asking a network disk for all of them takes minutes."""
SEPARATOR = "\x1f"
DIGEST_ORDER = ("rgb", "multispectral", "sar")
"""Roles that are digested before others, in this order, whatever the config's: so were they for the checkpoints that exist."""


def describe_content(source: SampleSource) -> dict[str, Any]:
    """Number of samples of an epoch, and each dataset of a single annotation file in its order; fit for JSON.

    Raises:
        DataError: an annotation file cannot be read any more.
    """
    return {"samples": len(source), "datasets": [describe_dataset(leaf) for leaf in source.leaves()]}


def describe_dataset(dataset: RecordDataset) -> dict[str, Any]:
    """Digests of a dataset.

    Returns:
        `name` (for messages); `files`: name and sha256 of the content of each annotation file, as large as it may be; `records`: their
        number; `left_out`: number of broken entries; `content`: a digest of the records as parsed, in their order; `images`: a digest of
        names (below their root) and sizes of the image files of up to NUM_IMAGES records. The pixels are not read.
    """
    return {
        "name": dataset.name,
        "files": [{"name": path.name, "sha256": _annotation_digest(path)} for path in dataset.annotation_files],
        "records": len(dataset.records),
        "left_out": len(dataset.entry_faults),
        "content": _digest_texts(text for record in dataset.records for text in _content(record)),
        "images": _digest_texts(text for record in _spread(dataset.records) for text in _image_files(record, dataset)),
    }


def _annotation_digest(path: Path) -> str:
    digest = file_digest(path)
    if digest == ABSENT:
        raise DataError(
            f"{path} was read and cannot be read any more, so a checkpoint could not tell what it was trained on. Bring it back."
        )
    return digest


def _content(record: Record) -> Iterator[str]:
    """What is learned of a record, without the paths and numbers that name it."""
    yield f"{record.task} {record.independent} {len(record.masks)} {len(record.regions)}"
    for image in _in_digest_order(record):
        yield f"{image.label} {image.sensor} {image.bands} {image.window} {len(image.paths)}"
        if image.item:
            yield f"item {image.item}"
        if image.gsd_m is not None or image.noise_removal:
            yield f"product {image.gsd_m} {image.noise_removal}"
    for turn in record.turns:
        yield turn.role
        yield turn.text
    for text in record.captions:
        yield f"caption{SEPARATOR}{text}"
    for label in record.labels:
        yield f"label{SEPARATOR}{label}"
    for expression in record.expressions:
        yield f"{expression.text}{SEPARATOR}{expression.place}{SEPARATOR}{expression.mask is None}"


def _spread(records: list[Record]) -> list[Record]:
    positions = np.unique(np.linspace(0, len(records) - 1, min(NUM_IMAGES, len(records))).round().astype(int))
    return [records[position] for position in positions.tolist()]


def _in_digest_order(record: Record) -> list[ImageRef]:
    """The images of `DIGEST_ORDER` first; the others in the record's order."""
    ranks = {role: rank for rank, role in enumerate(DIGEST_ORDER)}
    return sorted(record.images, key=lambda image: ranks.get(image.role, len(ranks)))


def _image_files(record: Record, dataset: RecordDataset) -> Iterator[str]:
    for image in _in_digest_order(record):
        root = os.path.abspath(dataset.image_root(image))
        for path in image.paths:
            yield f"{image.label} {os.path.relpath(path, root)} {_size_of(path)}"


def _size_of(path: str) -> int | str:
    """Bytes of a file, or of all files of a product's folder."""
    if os.path.isdir(path):
        return sum(item.stat().st_size for item in Path(path).rglob("*") if item.is_file())
    return os.path.getsize(path) if os.path.isfile(path) else "missing"


def _digest_texts(texts: Iterator[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode())
        digest.update(b"\0")
    return digest.hexdigest()
