"""An index on disk: vectors, items, FAISS's index, and `index.json`, which names them and the model that made the vectors.

`index.json` is written last and names the files of one generation; adding writes the files of the next one beside, then `index.json` anew.
So a process that is killed leaves the index as it was. Nothing is pickled.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eocore.data.io.file_digests import file_digest
from eocore.errors import ConfigError, DataError
from eocore.files import TEMPORARY, write_file, writing
from eocore.json_fields import CLOSED, parse_fields
from eocore.search.documents import read_parquet, to_parquet
from eocore.search.extra import check_extra
from eocore.search.index_kinds import Searcher
from eocore.search.recall import Recall, as_fields

INDEX = "index.json"
FORMAT = 1
VECTORS, ITEMS, FAISS = "vectors", "items", "faiss"
SUFFIXES = {VECTORS: "npy", ITEMS: "parquet", FAISS: "faiss"}
OWN_FILES = re.compile(r"(?:vectors|items|faiss)-\d{4,}\.(?:npy|parquet|faiss)(?:\.part)?")
"""What an index may remove from its folder."""
MOST_CHECKED = 256 * 2**20
"""Larger files are compared by size when an index is opened, and by content where that is asked for: it takes seconds a gigabyte."""
AGAIN = "Copy the index again, or build it anew with --overwrite."
IMAGES, CAPTIONS = "images", "captions"
"""What vectors are of."""


@dataclass(frozen=True)
class Space:
    """Where vectors come from: an index is asked with vectors of the same space.

    Attributes:
        kind: IMAGES or CAPTIONS.
        model: name of the model's folder.
        digest: of the model's files, the same for every copy.
        path: where the model was when the index was built.
    """

    kind: str
    model: str
    digest: str
    path: str = ""
    __pydantic_config__ = CLOSED


@dataclass(frozen=True)
class StoredFile:
    """A file of the index.

    Attributes:
        name: in the index's folder.
        size: [bytes].
        sha256: of its content.
    """

    name: str
    size: int
    sha256: str
    __pydantic_config__ = CLOSED


@dataclass(frozen=True)
class Facts:
    """What `index.json` says.

    Attributes:
        format: of the folder.
        generation: counts the times that items were added.
        space: of the vectors.
        num_items, width: of the vectors (N, D).
        kind: of the index, see `index_kinds`.
        search_width: how thoroughly it is searched.
        recall: measured against exact search, see `recall.as_fields`.
        files: VECTORS, ITEMS, FAISS (but for the exact kind) -> file.
        failed: items that could not be read when it was built -> why.
    """

    format: int
    generation: int
    space: Space
    num_items: int
    width: int
    kind: str
    search_width: int
    recall: dict[str, Any]
    files: dict[str, StoredFile]
    failed: dict[str, str]
    __pydantic_config__ = CLOSED


@dataclass(frozen=True)
class Index:
    """An index that is open.

    Attributes:
        folder: it lies in.
        facts: of it.
        items: GeoDataFrame, a row an item, see `eocore.search.documents`.
        searcher: of its vectors.
    """

    folder: Path
    facts: Facts
    items: Any
    searcher: Searcher


def read_facts(folder: Path) -> Facts:
    """What the index says of itself. Raises DataError where there is none, or it is broken or of another format."""
    path = folder / INDEX
    if not path.is_file():
        raise DataError(f"{folder}: no index (no {INDEX}). Name the folder of an index, or build one.")
    facts = parse_fields(path.read_bytes(), Facts, source=str(path), remedy=AGAIN)
    if facts.format != FORMAT:
        raise DataError(f"{path}: format {facts.format}; this version reads {FORMAT}. Build the index anew.")
    return facts


def open_index(folder: Path, *, verify: bool = False) -> Index:
    """The index of a folder; vectors stay on disk.

    Args:
        folder: of an index.
        verify: compare the content of large files too.

    Raises:
        DataError: a file is missing, broken, or another than `index.json` names.
        ConfigError: a library is not installed.
    """
    check_extra()
    facts = read_facts(folder)
    for file in facts.files.values():
        _check_file(folder / file.name, file, verify=verify)
    items, vectors = read_parquet(folder / facts.files[ITEMS].name), _read_vectors(folder / facts.files[VECTORS].name)
    if len(items) != facts.num_items or vectors.shape != (facts.num_items, facts.width):
        raise DataError(
            f"{folder}: {INDEX} names {facts.num_items} items of width {facts.width}; {len(items)} items and vectors {vectors.shape} are "
            f"there. {AGAIN}"
        )
    faiss = _read_faiss(folder / facts.files[FAISS].name, facts) if FAISS in facts.files else None
    return Index(folder, facts, items, Searcher(facts.kind, vectors, faiss, facts.search_width))


def write_index(folder: Path, index: Index, *, recall: Recall) -> Facts:
    """Writes an index as the next generation of a folder, and removes the files of the one before.

    Args:
        folder: of the index.
        index: its facts count but for `files`, `recall` and `search_width`.
        recall: of it.

    Raises:
        OutputError: the disk is full, or the folder cannot be written; an earlier index stands.
    """
    facts = index.facts
    names = {kind: f"{kind}-{facts.generation:04d}.{suffix}" for kind, suffix in SUFFIXES.items()}
    if index.searcher.index is None:
        del names[FAISS]
    write_vectors(folder / names[VECTORS], index.searcher.vectors)
    write_file(folder / names[ITEMS], to_parquet(index.items))
    if FAISS in names:
        _write_faiss(folder / names[FAISS], index.searcher.index)
    files = {kind: StoredFile(name, (folder / name).stat().st_size, file_digest(folder / name)) for kind, name in names.items()}
    written = {
        **vars(facts),
        "space": vars(facts.space),
        "search_width": recall.width,
        "recall": as_fields(recall),
        "files": {kind: vars(file) for kind, file in files.items()},
    }
    write_file(folder / INDEX, json.dumps(written, indent=1) + "\n")
    for path in folder.iterdir():
        if OWN_FILES.fullmatch(path.name) and path.name not in names.values():
            path.unlink()
    return read_facts(folder)


def write_vectors(path: Path, vectors: np.ndarray) -> None:
    """Writes (N, D) vectors block by block, whole or not at all."""
    aside = path.with_name(path.name + TEMPORARY)
    with writing(path, "the vectors", needed=vectors.nbytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        target = np.lib.format.open_memmap(aside, mode="w+", dtype=np.float32, shape=vectors.shape)
        for start in range(0, len(vectors), 65_536):
            target[start : start + 65_536] = vectors[start : start + 65_536]
        target.flush()
        aside.replace(path)


def _check_file(path: Path, stored: StoredFile, *, verify: bool) -> None:
    """Raise DataError if a file is not the one that was written."""
    size = path.stat().st_size if path.is_file() else None
    if size is None:
        raise DataError(f"{path}: the file is missing. {AGAIN}")
    if size != stored.size:
        raise DataError(f"{path}: {size} bytes, and {stored.size} were written. {AGAIN}")
    if (verify or size <= MOST_CHECKED) and file_digest(path) != stored.sha256:
        raise DataError(f"{path}: its content is another than what was written. {AGAIN}")


def _read_vectors(path: Path) -> np.ndarray:
    try:
        vectors: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: no vectors that can be read ({error}). {AGAIN}") from error
    return vectors


def _write_faiss(path: Path, index: Any) -> None:
    """Through memory: FAISS tells of a full disk in words of its own."""
    import faiss

    write_file(path, faiss.serialize_index(index).tobytes())


def _read_faiss(path: Path, facts: Facts) -> Any:
    import faiss

    try:
        index = faiss.read_index(str(path))
    except (RuntimeError, MemoryError) as error:
        raise DataError(f"{path}: cannot be read as an index of FAISS ({' '.join(str(error).split())[:200]}). {AGAIN}") from error
    if index.ntotal != facts.num_items or index.d != facts.width:
        raise DataError(f"{path}: holds {index.ntotal} vectors of width {index.d}; {facts.num_items} of {facts.width} belong here. {AGAIN}")
    return index


def check_space(expected: Space, space: Space) -> None:
    """Raise ConfigError if vectors of `space` mean nothing in an index of the space `expected`."""
    if space.digest != expected.digest:
        raise ConfigError(
            f"the index was built with the model '{expected.model}' (digest {expected.digest[:12]}), and '{space.model}' is another "
            f"(digest {space.digest[:12]}): vectors of different models cannot be compared. Give that model with --model, or build "
            "the index anew."
        )
