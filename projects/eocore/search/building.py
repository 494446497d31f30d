"""Builds an index: a job makes the vectors, then the index is made of them and measured. Changes: `eocore.search.changing`."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from textwrap import shorten
from typing import Any

import numpy as np

from eocore.errors import DataError
from eocore.files import require_writable
from eocore.search import index_kinds
from eocore.search.documents import as_table
from eocore.search.embedding import EmbedOptions, embed
from eocore.search.encoders import Encoder
from eocore.search.extra import check_extra
from eocore.search.index_folder import INDEX, Facts, Space, read_facts
from eocore.search.making import held, job_folder, make, measure_and_write
from eocore.search.sources import Source
from eocore.text import some_of

MOST_OF_A_REASON = 120
"""Characters of an error in a list of several."""


def build_index(folder: Path, source: Source, *, encoder: Encoder, options: EmbedOptions, kind: str | None = None) -> Facts:
    """Builds an index; one that was stopped is gone on with.

    Args:
        folder: new, or of a build that was stopped.
        source: what is indexed.
        encoder: that makes the vectors.
        options: how; `overwrite` replaces an index that is there.
        kind: see `index_kinds`; None = by the number of items.

    Raises:
        DataError: there is an index already, or no item could be embedded.
        OutputError: the folder cannot be written, or another process is writing it.
    """
    check_extra()
    require_writable(folder, "the index")
    with held(folder):
        before = _index_there(folder, overwrite=options.overwrite)
        if before is not None and not options.overwrite:
            if not job_folder(folder, before.generation).exists():
                raise DataError(
                    f"{folder} holds an index. Put more into it with `add`, name another folder, or build it anew with --overwrite."
                )
            rmtree(job_folder(folder, before.generation))  # of a build that was killed when all but this was done
            return before
        generation = before.generation + 1 if before else 1
        job = job_folder(folder, generation)
        found = embed(job, source, encoder=encoder, options=options)
        if not found.documents:
            rmtree(job)
            why = f"none of {len(found.failed)} items could be embedded ({named(found.failed)})"
            raise DataError(f"{why}, so there is no index. Correct the inputs.")
        made = make(encoder.space, found.vectors, documents=as_table(found.documents), kind=kind, failed=found.failed)
        facts = measure_and_write(folder, replace(made, facts=replace(made.facts, generation=generation)))
        rmtree(job, ignore_errors=True)
        return facts


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
    return measure_and_write(folder, make(space, vectors, documents=table, kind=kind, failed={}))


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
        lines.append(f"{len(facts.failed)} items are not in it ({named(facts.failed)}); `add` with the same inputs tries them again")
    return lines


def named(failed: Mapping[str, str]) -> str:
    """The first items that could not be embedded, and why in short; the log has the whole reason."""
    return some_of([f"{key}: {shorten(error, MOST_OF_A_REASON, placeholder=' ...')}" for key, error in failed.items()], 3)
