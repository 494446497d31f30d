"""Builds an index, and adds to one: a job makes the vectors, then the index is made of them and measured."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from textwrap import shorten
from typing import Any

import numpy as np
from shapely.geometry import Polygon

from eocore.errors import DataError, OutputError
from eocore.files import require_writable, writing
from eocore.folder_lock import FolderLock
from eocore.jobs.engine import local_executor, run_job
from eocore.jobs.job_folder import JobFolder
from eocore.log import get_logger
from eocore.search import index_kinds
from eocore.search.documents import Document, as_table, joined
from eocore.search.encoders import Encoder
from eocore.search.extra import check_extra
from eocore.search.index_folder import FORMAT, IMAGES, INDEX, Facts, Index, Space, check_space, open_index, read_facts, write_index
from eocore.search.index_kinds import Searcher, choose_kind
from eocore.search.recall import TARGET, TOP, measure_recall
from eocore.search.sources import Source, new_items
from eocore.text import some_of

MOST_OF_A_REASON = 120
"""Characters of an error in a list of several."""


WAIT_S = 5.0
"""For another process that writes the index [s]."""


@dataclass(frozen=True)
class BuildOptions:
    """How an index is made.

    Attributes:
        kind: see `index_kinds`; None = by the number of items.
        batch_size: items that are embedded together.
        num_workers: processes that embed; 0 = this one.
        overwrite: replace an index that is there.
    """

    kind: str | None = None
    batch_size: int = 32
    num_workers: int = 0
    overwrite: bool = False


def build_index(folder: Path, source: Source, *, encoder: Encoder, options: BuildOptions) -> Facts:
    """Builds an index; one that was stopped is gone on with.

    Args:
        folder: new, or of a build that was stopped.
        source: what is indexed.
        encoder: that makes the vectors.
        options: how.

    Raises:
        DataError: there is an index already, or no item could be embedded.
        OutputError: the folder cannot be written, or another process is writing it.
    """
    check_extra()
    require_writable(folder, "the index")
    with _held(folder):
        before = _index_there(folder, overwrite=options.overwrite)
        if before is None or options.overwrite:
            return _build(folder, source, encoder=encoder, options=options, generation=before.generation + 1 if before else 1)
        if not _job(folder, before.generation).exists():
            raise DataError(
                f"{folder} holds an index. Put more into it with `add`, name another folder, or build it anew with --overwrite."
            )
        rmtree(_job(folder, before.generation))  # of a build that was killed when all but this was done
        return before


def _build(folder: Path, source: Source, *, encoder: Encoder, options: BuildOptions, generation: int) -> Facts:
    job = _job(folder, generation)
    vectors, documents, failed = _embed(job, source, encoder=encoder, options=options)
    if not documents:
        rmtree(job)
        raise DataError(f"none of {len(failed)} items could be embedded ({_named(failed)}), so there is no index. Correct the inputs.")
    made = _make(encoder.space, vectors, documents=as_table(documents), kind=options.kind, failed=failed)
    facts = _measure_and_write(folder, replace(made, facts=replace(made.facts, generation=generation)))
    rmtree(job)
    return facts


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """No other process builds the index or adds to it meanwhile. Raises OutputError where one does."""
    lock = FolderLock(folder)
    with writing(folder, "the index"):
        holder = lock.take(wait_s=WAIT_S)
    if holder is not None:
        raise OutputError(f"{folder}: {holder} is writing the index. Wait for it, or name another folder.")
    try:
        yield
    finally:
        lock.release()


def write_new(folder: Path, space: Space, *, vectors: np.ndarray, table: Any, kind: str | None = None) -> Facts:
    """An index of vectors that are there already.

    Args:
        folder: without an index.
        space: of the vectors.
        vectors: (N, D) float32 of length 1.
        table: of the N items.
        kind: see `index_kinds`; None = by the number of items.

    Raises:
        DataError: there is an index already.
        OutputError: the folder cannot be written.
    """
    check_extra()
    if (folder / INDEX).exists():
        raise DataError(f"{folder} holds an index. Name another folder.")
    return _measure_and_write(folder, _make(space, vectors, documents=table, kind=kind, failed={}))


def _job(folder: Path, generation: int) -> Path:
    """Folder of the vectors that are made already of an index that is not written yet."""
    return folder / f"job-{generation:04d}"


def _index_there(folder: Path, *, overwrite: bool) -> Facts | None:
    """The index that is there; one that is broken is gone where it may be overwritten, else its error is raised."""
    if not (folder / INDEX).is_file():
        return None
    try:
        return read_facts(folder)
    except DataError:
        if not overwrite:
            raise
        (folder / INDEX).unlink()
        return None


def add_to_index(folder: Path, source: Source, *, encoder: Encoder, options: BuildOptions) -> tuple[Facts, int]:
    """Puts items into an index; those it has are not embedded again. Returns its facts, and how many items are new.

    Args:
        folder: of the index.
        source: what is added.
        encoder: that the index was built with.
        options: `kind` and `overwrite` do not count. An index that has outgrown its kind, or finds less than TARGET, is made anew.

    Raises:
        ConfigError: the encoder is another than that of the index.
        DataError: the index is broken, or an item has the key of another one.
        OutputError: the folder cannot be written, or another process is writing it.
    """
    check_extra()
    read_facts(folder)
    with _held(folder):
        return _add(open_index(folder, verify=True), source, encoder=encoder, options=options)


def _add(index: Index, source: Source, *, encoder: Encoder, options: BuildOptions) -> tuple[Facts, int]:
    check_space(index.facts.space, encoder.space)
    known = {key: (image, stamp) for key, image, stamp in zip(*(index.items[name] for name in ("key", "image", "stamp")), strict=True)}
    source = new_items(source, known=known)
    if not source.items:
        return index.facts, 0
    job = _job(index.folder, index.facts.generation + 1)
    vectors, documents, failed = _embed(job, source, encoder=encoder, options=replace(options, overwrite=True))
    if not documents:
        rmtree(job)
        return replace(index.facts, failed=failed), 0
    table = joined([index.items, as_table(documents)])
    every = np.concatenate([index.searcher.vectors, vectors])
    failed = {key: error for key, error in {**index.facts.failed, **failed}.items() if key not in set(table["key"])}
    facts = _measure_and_write(index.folder, _grown(index, every, table=table, failed=failed), again=True)
    rmtree(job)
    return facts, len(documents)


def _embed(job: Path, source: Source, *, encoder: Encoder, options: BuildOptions) -> tuple[np.ndarray, list[Document], dict[str, str]]:
    """(N, D) vectors of the items that could be embedded, their documents, and of the others why not."""
    choices = {"model": encoder.space.digest, "kind": encoder.space.kind}
    folder = JobFolder(job, choices, chunk_size=options.batch_size)
    try:
        report = run_job(encoder, source.items, folder=folder, executor=local_executor(options.num_workers), overwrite=options.overwrite)
        vectors, documents, num_cut = [], [], 0
        for item, outcome in folder.outcomes():
            if outcome.result is not None:
                vectors.append(outcome.result["vector"])
                documents.append(_completed(source.documents[item.key], outcome.result))
                num_cut += bool(outcome.result.get("cut"))
    finally:
        folder.close()
    sensors = Counter(document.sensor for document in documents if document.sensor)
    if encoder.space.kind == IMAGES:
        get_logger().info("read as %s", ", ".join(f"{name}: {count:,}" for name, count in sensors.most_common()))
    if num_cut:
        get_logger().warning("%d of %d texts are longer than the encoder reads: their ends do not count", num_cut, len(documents))
    return np.stack(vectors).astype(np.float32) if vectors else np.zeros((0, 0), np.float32), documents, report.failed


def _completed(document: Document, result: Mapping[str, Any]) -> Document:
    """With what the image tells, where the table states nothing."""
    ring = result.get("footprint")
    return replace(
        document,
        sensor=document.sensor or result.get("sensor", ""),
        time=document.time or result.get("time", ""),
        footprint=document.footprint or (Polygon(ring) if ring else None),
    )


def _make(space: Space, vectors: np.ndarray, *, documents: Any, kind: str | None, failed: dict[str, str]) -> Index:
    """An index of the first generation, not measured yet."""
    num_items, width = vectors.shape
    chosen = kind or choose_kind(num_items, width)
    facts = Facts(FORMAT, 1, space, num_items, width, chosen, 0, {}, {}, failed)
    return Index(Path(), facts, documents, Searcher(chosen, vectors, index_kinds.build(chosen, vectors)))


def _grown(index: Index, vectors: np.ndarray, *, table: Any, failed: dict[str, str]) -> Index:
    """The index with further vectors behind its own; of another kind where it has outgrown its own."""
    before, (num_items, width) = index.facts, vectors.shape
    was_chosen = before.kind == choose_kind(before.num_items, width)
    kind = choose_kind(num_items, width) if was_chosen else before.kind
    facts = replace(before, generation=before.generation + 1, num_items=num_items, kind=kind, failed=failed)
    if kind == before.kind and index.searcher.index is not None:
        faiss_index = index.searcher.index
        index_kinds.add(faiss_index, vectors[before.num_items :], kind=kind)
    else:
        faiss_index = index_kinds.build(kind, vectors)
    return Index(index.folder, facts, table, Searcher(kind, vectors, faiss_index))


def _measure_and_write(folder: Path, index: Index, *, again: bool = False) -> Facts:
    """Measures the index and writes it; one that finds too little, and may be made `again` of all that has been added, is."""
    recall = measure_recall(index.searcher)
    if recall.value < TARGET and again:
        get_logger().info("recall@%d is %.3f with what was added: the index is made anew", TOP, recall.value)
        vectors, kind = index.searcher.vectors, index.facts.kind
        index = replace(index, searcher=Searcher(kind, vectors, index_kinds.build(kind, vectors)))
        recall = measure_recall(index.searcher)
    return write_index(folder, index, recall=recall)


def describe(facts: Facts) -> list[str]:
    """An index in a few lines."""
    size = sum(file.size for file in facts.files.values())
    found = (
        "exact"
        if facts.kind == index_kinds.FLAT
        else f"recall@{facts.recall['k']} {facts.recall['value']:.3f} at width {facts.search_width}"
    )
    lines = [
        f"{facts.num_items:,} {facts.space.kind} of width {facts.width}, kind {facts.kind} ({found}), {size / 1e6:.1f} MB",
        f"model {facts.space.model}, digest {facts.space.digest[:12]}",
    ]
    if facts.failed:
        lines.append(f"{len(facts.failed)} items are not in it ({_named(facts.failed)}); `add` with the same inputs tries them again")
    return lines


def _named(failed: Mapping[str, str]) -> str:
    """The first items that could not be embedded, and why in short; the log has the whole reason."""
    return some_of([f"{key}: {shorten(error, MOST_OF_A_REASON, placeholder=' ...')}" for key, error in failed.items()], 3)
