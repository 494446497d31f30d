"""The indexes that a server searches: opened when they are first asked, each with the served model whose vectors it holds."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eocore.errors import ConfigError, DataError
from eocore.evaluate.engine.digests import folder_digest
from eocore.predict.image_files import ImageFile
from eocore.search.encoders import SentenceEncoder, packaged_encoder
from eocore.search.filters import Filters
from eocore.search.index_folder import CAPTIONS, Index, open_index
from eocore.search.query import Hit, Query, find_nearest
from eocore.search.sources import IMAGE_JOINT, check_words
from eocore.sensors.bands import get_sensor
from eocore.serve.page.desk import role_of
from eocore.serve.service import Service

MOST_FOLDERS = 1000
"""Folders of images that are allowed one by one; of more the folder above all."""


@dataclass(frozen=True)
class Wanted:
    """What is looked for; all that is given counts together. Nothing but filters = the items that fit, in the index's order.

    Attributes:
        text: words.
        images: of one sample, input -> file.
        like, unlike: keys of items: more like these, less like those.
        k: most results.
        filters: which items count.
    """

    text: str = ""
    images: Mapping[str, ImageFile] = field(default_factory=dict)
    like: Sequence[str] = ()
    unlike: Sequence[str] = ()
    k: int = 24
    filters: Filters = field(default_factory=Filters)


@dataclass(frozen=True)
class Found:
    """An answer.

    Attributes:
        hits: nearest first; of a query without anything to be near to, all scores are nan.
        num_items: of the index.
        seconds: that it took, without opening the index.
    """

    hits: list[Hit]
    num_items: int
    seconds: float


@dataclass(frozen=True, eq=False)
class ServedIndex:
    """An index that is open.

    Attributes:
        name: of its folder.
        index: as it was when it was opened.
        model: served one whose vectors it holds; "" = none is.
        sentences: the encoder of an index of captions, where it is there.
        problem: why neither words nor images can be looked for; "" = they can.
    """

    name: str
    index: Index
    model: str = ""
    sentences: SentenceEncoder | None = None
    problem: str = ""


class Indexes:
    """All indexes of a server.

    Args:
        service: whose options name them, and whose models embed what is looked for.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._folders = {folder.resolve().name: folder for folder in service.options.indexes}
        self._open: dict[str, ServedIndex] = {}
        self._lock = asyncio.Lock()

    @property
    def names(self) -> list[str]:
        """In the order in which they were named."""
        return list(self._folders)

    async def get(self, name: str) -> ServedIndex:
        """An index, open. Raises ConfigError where there is none of that name, DataError where it is broken."""
        if name not in self._folders:
            raise ConfigError(f"no index '{name[:100]}' is served here. Served: {', '.join(self._folders) or 'none'}.")
        async with self._lock:
            if name not in self._open:
                self._open[name] = await asyncio.to_thread(self._opened, name)
                for folder in _image_folders(self._open[name].index):
                    self._service.allow_images_below(folder)
            return self._open[name]

    async def find(self, name: str, wanted: Wanted) -> Found:
        """The nearest items that fit.

        Raises:
            ConfigError: no such index, or it cannot be asked so.
            DataError: a key is unknown, a text has no word, an image cannot be read, or no item fits.
            BusyError, TimeLimitError, WorkerLostError: see `eocore.errors`.
        """
        served = await self.get(name)
        began = time.monotonic()
        vectors = await self._vectors(served, wanted)
        hits = await asyncio.to_thread(_nearest, served.index, wanted, vectors=vectors)
        return Found(hits, served.index.facts.num_items, time.monotonic() - began)

    async def _vectors(self, served: ServedIndex, wanted: Wanted) -> list[np.ndarray]:
        found: list[np.ndarray] = []
        if (wanted.text or wanted.images) and served.problem:
            raise ConfigError(served.problem)
        if wanted.text:
            check_words(wanted.text, "the query")
            if served.sentences is not None:
                found.append((await asyncio.to_thread(served.sentences.texts, [wanted.text]))[0])
            else:
                found.append(_unit((await self._service.embed_texts(served.model, [wanted.text]))[0]))
        if wanted.images:
            if not served.model:
                raise ConfigError("this is an index of captions, which an image cannot be compared with. Look for words.")
            found.append(_unit((await self._service.embed_images(served.model, [wanted.images]))[0]))
        return found

    def _opened(self, name: str) -> ServedIndex:
        index = open_index(self._folders[name])
        space = index.facts.space
        if space.kind == CAPTIONS:
            for folder in (Path(space.path), *_packaged()):
                encoder = SentenceEncoder(folder, "cpu")
                if folder.is_dir() and encoder.space.digest == space.digest:
                    return ServedIndex(name, index, sentences=encoder)
            return ServedIndex(
                name, index, problem=f"the sentence encoder '{space.model}' of this index is not there: words cannot be looked for."
            )
        for folder in self._service.options.models:
            if folder_digest(folder) == space.digest:
                return ServedIndex(name, index, model=folder.resolve().name)
        problem = f"the model '{space.model}' of this index is not served: look for more like its items, or serve that model too."
        return ServedIndex(name, index, problem=problem)


def _packaged() -> list[Path]:
    try:
        return [packaged_encoder()]
    except ConfigError:
        return []


def _unit(vector: np.ndarray) -> np.ndarray:
    """Of length 1. Raises DataError where it has none."""
    length = float(np.linalg.norm(vector))
    if not length > 0:
        raise DataError("the model made no vector of what is looked for. Look for something else.")
    unit: np.ndarray = (vector / length).astype(np.float32)
    return unit


def _nearest(index: Index, wanted: Wanted, *, vectors: list[np.ndarray]) -> list[Hit]:
    num_items = index.facts.num_items
    query = Query(like=wanted.like, unlike=wanted.unlike, k=min(wanted.k, num_items), filters=wanted.filters)
    if vectors or wanted.like:
        return find_nearest(index, query, vectors=vectors)
    fits = wanted.filters.fitting(index.items)
    if fits is None:
        raise ConfigError("nothing to look for: type words, choose an image, or set a filter.")
    rows = np.flatnonzero(fits)[: query.k]
    if not len(rows):
        raise DataError(f"none of {num_items:,} items fits the filters. Loosen one.")
    return [Hit(rank, float("nan"), int(row)) for rank, row in enumerate(rows, start=1)]


def _image_folders(index: Index) -> list[Path]:
    """Folders that hold the images of an index."""
    files = {Path(path) for image in index.items["image"].unique() if image for path in image.split(IMAGE_JOINT)}
    folders = sorted({path.parent for path in files if path.is_absolute()})
    if len(folders) <= MOST_FOLDERS:
        return folders
    above = Path(*_common([folder.parts for folder in folders]))
    return [above] if len(above.parts) > 2 else []


def _common(paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    first, last = min(paths), max(paths)
    count = next((number for number, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:count]


def files_of_item(index: Index, row: int) -> dict[str, ImageFile]:
    """Role -> image of an item, as requests and the page take it.

    Args:
        index: open.
        row: of its items.

    Raises:
        DataError: the item has no image, or it does not say which sensor each of several files is of.
    """
    item = index.items.iloc[row]
    paths = [path for path in str(item["image"]).split(IMAGE_JOINT) if path]
    sensors = [name for name in str(item["sensor"]).split("+") if name]
    if not paths:
        raise DataError(f"'{item['key']}' has no image in this index.")
    window = tuple(int(number) for number in str(item["window"]).split(",")) if item["window"] else None
    if len(sensors) <= 1:
        groups = [(sensors[0] if sensors else None, tuple(paths))]
    elif len(sensors) == len(paths):
        groups = [(sensor, (path,)) for sensor, path in zip(sensors, paths, strict=True)]
    else:
        raise DataError(f"'{item['key']}' has {len(paths)} files of {len(sensors)} sensors, and does not say which is of which.")
    return {
        "optical" if sensor is None else role_of(get_sensor(sensor).unit): ImageFile(files, sensor, window=window)  # type: ignore[arg-type]
        for sensor, files in groups
    }
