"""How large each sample of an epoch will be, from annotations and image headers alone; found once and kept in a file."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import eocore.data
from eocore.data.changes import change_headers
from eocore.data.dataset import RecordDataset, SampleKey, SampleSource, random_stream
from eocore.data.io.file_digests import file_digest
from eocore.data.io.readers import SceneHeader, scene_header
from eocore.data.loading.error_policy import FaultOptions
from eocore.data.records import Record
from eocore.errors import DataError
from eocore.files import grant_default_mode
from eocore.log import get_logger
from eocore.progress import Progress

FIELDS = ("tokens", "tiles", "mask_images", "masks", "scored")
"""Columns of a table of sizes: tokens, vision tiles, images for the mask decoder, masks, tokens with a label."""
CHUNK = 128
"""Samples that a process measures at a time."""
WORTH_KEEPING_S = 1.0
"""A table that took less is not written: small data sets have short epochs, and each would leave a file."""
FILE_READERS = 32
"""Threads that ask for the state of image files, which takes long over a network and no work."""


class Measurer(Protocol):
    """Sizes of samples before they are prepared, given by a system.

    Attributes:
        max_length: most tokens of a sample.
        reads_headers: whether sizes depend on the images; if not, none is opened, and there are no headers.
        settings: all that sizes depend on beside the data, fit for JSON.
        code: folders of the sources that decide sizes.
    """

    @property
    def max_length(self) -> int: ...

    @property
    def reads_headers(self) -> bool: ...

    @property
    def settings(self) -> Mapping[str, Any]: ...

    @property
    def code(self) -> Sequence[Path]: ...

    def __call__(self, record: Record, headers: Sequence[SceneHeader]) -> Mapping[str, int]:
        """The `FIELDS` of a record; headers come in the order of its images."""


@dataclass(frozen=True, kw_only=True)
class SizeCache:
    """Where tables of sizes are kept, and what they depend on besides the data.

    Attributes:
        folder: of the tables.
        settings: config of the data, tokenizer, processor; fit for JSON.
        code: folders of the sources that measure, besides this one's.
    """

    folder: Path
    settings: Mapping[str, Any]
    code: Sequence[Path] = ()


@dataclass(frozen=True, kw_only=True)
class MeasuringOptions:
    """How samples are measured.

    Attributes:
        faults: under "skip", a broken sample has size 0; else it ends the measuring.
        num_workers: processes; 0 = this one.
        on_progress: called after every few samples, as a sign of life.
    """

    faults: FaultOptions = field(default_factory=FaultOptions)
    num_workers: int = 0
    on_progress: Callable[[], None] = lambda: None


class SampleSizes:
    """Tables of sizes by epoch: (N, len(FIELDS)) int32, in the order of the dataset. A sample may be worded anew in every epoch.

    A table is kept under a digest of all that it depends on: annotation files, state of the image files (size and time of the last
    change), the settings, seed, epoch, and the code that measures. Any change makes another table. It is written beside and renamed, so
    that nobody reads half of one.

    Args:
        dataset: whose samples are measured.
        measurer: of sizes.
        seed: of the training, on which the wording of samples depends.
        cache: None = nothing is kept.
        options: of the measuring.
    """

    def __init__(
        self,
        dataset: SampleSource,
        measurer: Measurer,
        *,
        seed: int,
        cache: SizeCache | None = None,
        options: MeasuringOptions | None = None,
    ) -> None:
        self.options, self.cache = options or MeasuringOptions(), cache
        self.chunks = _Chunks(dataset, measurer, seed=seed, faults=self.options.faults)
        self._digest = ""
        self._tables: dict[int, np.ndarray] = {}

    def __call__(self, epoch: int) -> np.ndarray:
        """The table of an epoch.

        Raises:
            DataError: a sample is broken, and broken samples end the run.
        """
        if epoch not in self._tables:
            for old in [known for known in self._tables if known < epoch - 1]:
                del self._tables[old]
            self._tables[epoch] = self._find(epoch)
        return self._tables[epoch]

    def put(self, epoch: int, table: np.ndarray) -> None:
        """Takes a table that another process found."""
        self._tables[epoch] = table

    def _find(self, epoch: int) -> np.ndarray:
        path = None if self.cache is None else self.cache.folder / f"{self._digest_of(epoch, self.cache)}.npy"
        kept = None if path is None else read_array(path)
        if kept is not None and kept.shape == (len(self.chunks.dataset), len(FIELDS)):
            return kept
        start = time.monotonic()
        table = self._measure(epoch)
        if path is not None and time.monotonic() - start >= WORTH_KEEPING_S:
            write_array(path, table)
        return table

    def _measure(self, epoch: int) -> np.ndarray:
        self.chunks.epoch = epoch
        parts = []
        # A loader draws a seed when it starts. A resumed run measures an epoch at another step, so not from the training's own generator.
        loader = DataLoader(self.chunks, batch_size=None, num_workers=self.options.num_workers, generator=torch.Generator())
        with Progress(f"measuring samples of epoch {epoch}", total=len(self.chunks.dataset), unit="samples") as progress:
            for part in loader:
                parts.append(np.asarray(part))
                progress.advance(len(part))
                self.options.on_progress()
        return np.concatenate(parts)

    def _digest_of(self, epoch: int, cache: SizeCache) -> str:
        if not self._digest:
            self._digest = self._content_digest(cache)
        return hashlib.sha256(f"{self._digest} {epoch}".encode()).hexdigest()[:32]

    def _content_digest(self, cache: SizeCache) -> str:
        settings = {"settings": cache.settings, "seed": self.chunks.seed, "samples": len(self.chunks.dataset)}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
        leaves = self.chunks.dataset.leaves()
        sources = [path for folder in (*cache.code, Path(next(iter(eocore.data.__path__)))) for path in sorted(folder.rglob("*.py"))]
        for path in [*sources, *(path for leaf in leaves for path in leaf.annotation_files)]:
            digest.update(file_digest(path).encode())
        images = sorted({path for leaf in leaves for record in leaf.records for ref in record.images for path in ref.paths})
        with ThreadPoolExecutor(FILE_READERS) as pool:
            for image, state in zip(images, pool.map(_file_state, images, chunksize=256), strict=True):
                digest.update(f"{image} {state}\n".encode())
        return digest.hexdigest()


class _Chunks(Dataset[np.ndarray]):
    """Tables of `CHUNK` samples each."""

    epoch = 0

    def __init__(self, dataset: SampleSource, measurer: Measurer, *, seed: int, faults: FaultOptions) -> None:
        self.dataset, self.measurer, self.seed, self.faults = dataset, measurer, seed, faults

    def __len__(self) -> int:
        return -(-len(self.dataset) // CHUNK)

    def __getitem__(self, number: int) -> np.ndarray:
        if number >= len(self):
            raise IndexError(number)
        end = min((number + 1) * CHUNK, len(self.dataset))
        rows = [self._row(SampleKey(self.epoch, index)) for index in range(number * CHUNK, end)]
        return np.array(rows, dtype=np.int32).reshape(len(rows), len(FIELDS))

    def _row(self, key: SampleKey) -> list[int]:
        try:
            record, dataset = self.dataset.draw(key, random_stream(self.seed, "sample", *key))
            found = self.measurer(record, self._headers(record, dataset) if self.measurer.reads_headers else ())
            return [found[field] for field in FIELDS]
        except DataError as error:
            if self.faults.skips:
                return [0] * len(FIELDS)
            raise type(error)(f"{self.dataset.describe(key)}: {error}") from error

    @staticmethod
    def _headers(record: Record, dataset: RecordDataset) -> Sequence[SceneHeader]:
        headers = [scene_header(ref, root=dataset.image_root(ref)) for ref in record.images]
        return change_headers(headers, record.augmentation.changes)


def _file_state(path: str) -> str:
    try:
        found = os.stat(path)
        if os.path.isdir(path):  # a product: any of its files may change
            files = [item.stat() for item in Path(path).rglob("*") if item.is_file()]
            return f"{sum(file.st_size for file in files)} {max((file.st_mtime_ns for file in files), default=0)}"
    except OSError:
        return "missing"
    return f"{found.st_size} {found.st_mtime_ns}"


def read_array(path: Path) -> np.ndarray | None:
    """The array of an NPY file; None where there is none or it is broken."""
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None


def write_array(path: Path, array: np.ndarray) -> None:
    """Writes beside and renames; a folder that cannot be written to is a warning, since the array can always be made again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            np.save(file, array)
        grant_default_mode(Path(file.name))
        os.replace(file.name, path)
    except OSError as error:
        get_logger().warning("%s cannot be written (%s): it will be made again next time. Choose another folder.", path, error)
