"""Vectors of what is indexed: read where they are made already, else made by a job, which resumes."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from eocore.data.io.footprints import outline
from eocore.jobs.engine import run_job
from eocore.jobs.job_folder import JobFolder
from eocore.jobs.processes import InThisProcess
from eocore.jobs.work import Executor
from eocore.log import get_logger
from eocore.search.documents import Document
from eocore.search.encoders import Encoder
from eocore.search.index_folder import IMAGES
from eocore.search.sources import Source


@dataclass(frozen=True)
class EmbedOptions:
    """How vectors are made.

    Attributes:
        batch_size: items that are embedded together.
        executor: where.
        overwrite: throw away what another job has left; the same one is resumed.
    """

    batch_size: int = 32
    executor: Executor = field(default_factory=InThisProcess)
    overwrite: bool = False


@dataclass(frozen=True)
class Embedded:
    """Items with their vectors.

    Attributes:
        vectors: (N, D) float32 of length 1.
        documents: of the N items.
        failed: key -> why, of items that could not be embedded.
    """

    vectors: np.ndarray
    documents: list[Document]
    failed: dict[str, str]


def embed(job: Path, source: Source, *, encoder: Encoder, options: EmbedOptions) -> Embedded:
    """The items of a source with vectors.

    Args:
        job: folder of the job that makes them.
        source: what is embedded; one that has vectors needs no job.
        encoder: that makes them.
        options: how.

    Raises:
        DataError, OutputError: as `eocore.jobs.engine.run_job`.
    """
    if source.vectors is not None:
        vectors = [source.vectors[item.key] for item in source.items]
        return Embedded(_stacked(vectors), [source.documents[item.key] for item in source.items], {})
    choices = {"model": encoder.space.digest, "kind": encoder.space.kind}
    folder = JobFolder(job, choices, chunk_size=options.batch_size)
    try:
        report = run_job(encoder, source.items, folder=folder, executor=options.executor, overwrite=options.overwrite)
        vectors, documents, num_cut = [], [], 0
        for item, outcome in folder.outcomes():
            if outcome.result is not None:
                vectors.append(outcome.result["vector"])
                documents.append(_completed(source.documents[item.key], outcome.result))
                num_cut += bool(outcome.result.get("cut"))
    finally:
        folder.close()
    _tell(documents, num_cut=num_cut, kind=encoder.space.kind)
    return Embedded(_stacked(vectors), documents, report.failed)


def _stacked(vectors: list[np.ndarray]) -> np.ndarray:
    return np.stack(vectors).astype(np.float32) if vectors else np.zeros((0, 0), np.float32)


def _tell(documents: list[Document], *, num_cut: int, kind: str) -> None:
    sensors = Counter(document.sensor for document in documents if document.sensor)
    if kind == IMAGES:
        get_logger().info("read as %s", ", ".join(f"{name}: {count:,}" for name, count in sensors.most_common()))
    if num_cut:
        get_logger().warning("%d of %d texts are longer than the encoder reads: their ends do not count", num_cut, len(documents))


def _completed(document: Document, result: Mapping[str, Any]) -> Document:
    """With what the image tells, where the table states nothing."""
    ring = result.get("footprint")
    return replace(
        document,
        sensor=document.sensor or result.get("sensor", ""),
        time=document.time or result.get("time", ""),
        cloud_cover=document.cloud_cover if document.cloud_cover is not None else result.get("cloud_cover"),
        footprint=document.footprint or (outline(ring) if ring else None),
    )
