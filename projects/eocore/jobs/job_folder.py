"""A job on disk: the manifest of its items, and a file for every chunk that is done.

`job.json` says what is done, `items.jsonl` with what, `results/` holds a safetensors file a chunk: its arrays, and in the header the rest.
Chunks are cut from the manifest once, so that a job that was stopped gives models the same batches as one that was not.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from eocore.errors import DataError, OutputError
from eocore.files import write_file, writing
from eocore.folder_lock import FolderLock
from eocore.jobs.work import Chunk, Item, Outcome, Result
from eocore.log import get_logger

JOB, ITEMS, RESULTS = "job.json", "items.jsonl", "results"
OUTCOMES = "outcomes"
"""Key in a result file's header."""
FORMAT = 1
WAIT_S = 5.0
RESTART = "Name another folder, or start anew with --overwrite."


@dataclass
class JobFolder:
    """The folder of a job; held while the job is open.

    Args:
        folder: made where absent.
        choices: what results depend on besides the items, as JSON values: the same in every call that resumes.
        chunk_size: items done together; a job that is resumed keeps its own.

    Raises:
        ValueError: a chunk would hold no item.
    """

    folder: Path
    choices: Mapping[str, Any]
    chunk_size: int = 32

    def __post_init__(self) -> None:
        if self.chunk_size < 1:
            raise ValueError(f"chunk_size is {self.chunk_size}; at least 1 is needed")
        self._lock = FolderLock(self.folder)
        self._items: tuple[Item, ...] = ()

    def open(self, items: Sequence[Item], *, overwrite: bool = False) -> None:
        """Takes the folder for these items.

        Args:
            items: all items of the job, in order.
            overwrite: throw away what another job has left; the same one is resumed.

        Raises:
            DataError: two items have one key, or the folder holds a job of other items or choices.
            OutputError: another process holds the folder, or it cannot be written.
        """
        _check_keys(items)
        with writing(self.folder, "the job"):
            holder = self._lock.take(wait_s=WAIT_S)
        if holder is not None:
            raise OutputError(f"{self.folder}: {holder} is working on this job. Wait for it, or name another folder.")
        text = "".join(f"{json.dumps({'key': item.key, **item.payload}, sort_keys=True)}\n" for item in items)
        stated = {"format": FORMAT, "choices": dict(self.choices), "num_items": len(items), "items": _digest(text)}
        before = self._read_job(lenient=overwrite)
        if before is not None and overwrite and _differing(before, stated):
            before = None
        if before is None and overwrite:
            self._remove()
        if before is None:
            write_file(self.folder / ITEMS, text)
            write_file(self.folder / JOB, json.dumps({**stated, "chunk_size": self.chunk_size}, indent=1, sort_keys=True) + "\n")
        else:
            differing = _differing(before, stated)
            if differing:
                raise DataError(
                    f"{self.folder} holds a job with another {'; '.join(differing)}. Its results would be mixed with others. {RESTART}"
                )
            self.chunk_size = int(before["chunk_size"])
        self._items = tuple(items)

    def close(self) -> None:
        """Lets go of the folder."""
        self._lock.release()

    @property
    def num_chunks(self) -> int:
        """Chunks of the job."""
        return -(-len(self._items) // self.chunk_size)

    def pending(self) -> list[Chunk]:
        """What is left to do: chunks without a file, and of those with one the items that have failed."""
        found = []
        for index in range(self.num_chunks):
            items = self._items_of(index)
            failed = {outcome.key for outcome in self.read(index) or [Outcome(item.key) for item in items] if outcome.result is None}
            if failed:
                found.append(Chunk(index, tuple(item for item in items if item.key in failed)))
        return found

    def write(self, index: int, outcomes: Sequence[Outcome]) -> None:
        """Writes outcomes of a chunk, beside those it has. Raises OutputError where the disk is full."""
        known = {outcome.key: outcome for outcome in [*(self.read(index) or ()), *outcomes]}
        arrays: dict[str, np.ndarray] = {}
        lines = []
        for position, item in enumerate(self._items_of(index)):
            outcome = known[item.key]
            plain = _take_arrays(outcome.result, arrays, prefix=f"{position}.")
            lines.append({"key": outcome.key, "error": outcome.error, "result": plain})
        write_file(self._path(index), save(arrays, metadata={OUTCOMES: json.dumps(lines)}))

    def read(self, index: int) -> list[Outcome] | None:
        """The outcomes of a chunk in the items' order; None where it has no file, or a broken one, which is told."""
        path = self._path(index)
        if not path.is_file():
            return None
        try:
            return list(_read_outcomes(path, [item.key for item in self._items_of(index)]))
        except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
            get_logger().warning("%s is broken (%s): its items are done again", path, error)
            return None

    def outcomes(self) -> Iterator[tuple[Item, Outcome]]:
        """Every item with its outcome, in the order of the manifest; one that was not worked on has neither result nor error."""
        for index in range(self.num_chunks):
            items = self._items_of(index)
            yield from zip(items, self.read(index) or [Outcome(item.key) for item in items], strict=True)

    def _items_of(self, index: int) -> tuple[Item, ...]:
        return self._items[index * self.chunk_size : (index + 1) * self.chunk_size]

    def _path(self, index: int) -> Path:
        return self.folder / RESULTS / f"{index:08d}.safetensors"

    def _read_job(self, *, lenient: bool) -> dict[str, Any] | None:
        """What `job.json` says; None where there is none, or a broken one that may be replaced."""
        path = self.folder / JOB
        try:
            found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
            if found is None or int(found["chunk_size"]) > 0:
                return found
            reason = f"chunk_size is {found['chunk_size']}"
        except (ValueError, KeyError, TypeError) as error:
            reason = str(error)
        if lenient:
            return None
        raise DataError(f"{path}: cannot be read ({reason}). {RESTART}")

    def _remove(self) -> None:
        with writing(self.folder, "the job"):
            (self.folder / JOB).unlink(missing_ok=True)
            (self.folder / ITEMS).unlink(missing_ok=True)
            if (self.folder / RESULTS).exists():
                rmtree(self.folder / RESULTS)


def _check_keys(items: Sequence[Item]) -> None:
    seen: set[str] = set()
    for item in items:
        if item.key in seen:
            raise DataError(f"two items have the key '{item.key}'; results are found by it. Give each a key of its own.")
        seen.add(item.key)


def _differing(before: Mapping[str, Any], stated: Mapping[str, Any]) -> list[str]:
    """What another job, or another state of its items, is told by."""
    then, now = before.get("choices") or {}, stated["choices"]
    names = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    found = [f"{name} ({then.get(name)!r:.60}, now {now.get(name)!r:.60})" for name in names]
    if before.get("format") != stated["format"]:
        found.append(f"format ({before.get('format')}, now {stated['format']})")
    if before.get("items") != stated["items"]:
        found.append(f"items ({before.get('num_items')}, now {stated['num_items']}, or their files have changed)")
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _take_arrays(result: Result | None, arrays: dict[str, np.ndarray], *, prefix: str) -> dict[str, Any] | None:
    """The plain values of a result; its arrays go to `arrays`, under their names after `prefix`."""
    if result is None:
        return None
    arrays.update((prefix + name, np.ascontiguousarray(value)) for name, value in result.items() if isinstance(value, np.ndarray))
    return {name: value for name, value in result.items() if not isinstance(value, np.ndarray)}


def _read_outcomes(path: Path, keys: Sequence[str]) -> Iterator[Outcome]:
    with safe_open(path, "np") as file:
        lines = json.loads(file.metadata()[OUTCOMES])
        if [line["key"] for line in lines] != list(keys):
            raise ValueError("it holds other items than the manifest names")
        arrays: dict[int, dict[str, np.ndarray]] = {}
        for stored in file.keys():  # noqa: SIM118  (no mapping)
            position, _, name = stored.partition(".")
            arrays.setdefault(int(position), {})[name] = file.get_tensor(stored)
    for position, line in enumerate(lines):
        result = None if line["result"] is None else {**line["result"], **arrays.get(position, {})}
        yield Outcome(line["key"], result, line["error"])
