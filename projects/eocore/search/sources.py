"""What is to be indexed: images of folders, lists and tables with what is known of them, or the captions of a table.

Columns of a table, all optional but one of `image` (or an input of `eocore.predict.inputs`) and `caption`: `id`, `time` or `date`
(ISO 8601), `sensor`, `cloud_cover` [%], `footprint` (WKT), `bbox` (WEST,SOUTH,EAST,NORTH, as a text or a list).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eocore.data.formats.captions import read_texts
from eocore.data.formats.entries import Entry
from eocore.data.formats.tables import TABLE_SUFFIXES, column_names, read_table
from eocore.data.io.file_digests import stamp
from eocore.data.records import is_time
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.jobs.work import Item
from eocore.predict.image_files import ImageFile
from eocore.predict.inputs import INPUTS
from eocore.predict.items import ID, IMAGE, TEXT, find_items, items_of_rows
from eocore.predict.items import Item as Question
from eocore.search.documents import Document
from eocore.search.filters import LIMITS

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

CAPTION, TIMES, SENSOR, CLOUDS, FOOTPRINT, BBOX = "caption", ("time", "date"), "sensor", "cloud_cover", "footprint", "bbox"
IMAGE_JOINT = "; "
"""Between the files of an image."""
KNOWN = (ID, IMAGE, *INPUTS, CAPTION, *TIMES, SENSOR, CLOUDS, FOOTPRINT, BBOX)


@dataclass(frozen=True)
class Source:
    """Items to embed, and what is known of them before.

    Attributes:
        items: of the job: `files` (input -> fields of an `ImageFile`), or `text`.
        documents: key -> what the index will say of the item; what is not stated comes from the image.
        ignored: columns of the table that are not read.
        vectors: key -> (D,) float32 of length 1, where they are made already; None = an encoder makes them.
    """

    items: list[Item]
    documents: dict[str, Document] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    vectors: Mapping[str, np.ndarray] | None = None


def images_of(sources: Sequence[str], *, options: Mapping[str, ImageFile]) -> Source:
    """The images of folders, files, lists and tables, as `eocore.predict.items.find_items` reads them.

    Args:
        sources: each with its input in front, where it is not "optical".
        options: input -> what is said of its files.

    Raises:
        ConfigError, DataError: as `find_items`.
        AnnotationError: a row states no image, or something that cannot be.
    """
    path = Path(sources[0])
    is_table = len(sources) == 1 and path.suffix.lower() in TABLE_SUFFIXES and path.is_file()
    if not is_table:
        found = find_items(sources, options=options)
        documents = [Document(item.item_id) for item in found]
        return Source([_image_item(item) for item in found], _by_key(found, documents))
    groups: dict[str, list[Entry]] = {}
    for row in read_table(path):
        groups.setdefault(str(row.values.get(ID) or [row.values.get(name) for name in (IMAGE, *INPUTS)]), []).append(row)
    if not groups:
        raise DataError(f"{path}: no row in it. Name another table.")
    rows = [Entry({name: value for name, value in group[0].values.items() if name != TEXT}, group[0].source) for group in groups.values()]
    found = items_of_rows(rows, path=path, options=options)
    captions = [" ".join(text for row in group if CAPTION in row.values for text in read_texts(row, CAPTION)) for group in groups.values()]
    documents = [replace(_document(row, item.item_id), caption=text) for row, item, text in zip(rows, found, captions, strict=True)]
    ignored = tuple(name for name in column_names(rows) if name not in KNOWN)
    return Source([_image_item(item) for item in found], _by_key(found, documents), ignored)


def _by_key(items: Sequence[Question], documents: Sequence[Document]) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for item, document in zip(items, documents, strict=True):
        if item.item_id in found:
            raise DataError(f"{item.source}: the id '{item.item_id}' is taken by another row. Give each image an id of its own.")
        image = IMAGE_JOINT.join(os.path.abspath(name) for file in item.files.values() for name in file.paths)
        found[item.item_id] = replace(document, image=image, stamp=_stamp(item))
    return found


def _stamp(item: Question) -> str:
    return stamp([(name, asdict(file), [_size_and_time(path) for path in file.paths]) for name, file in sorted(item.files.items())])


def _size_and_time(path: str) -> tuple[int, int]:
    """Of a file; of a product's folder and of a file that is not there nothing, which reading it tells."""
    try:
        found = os.stat(path)
    except OSError:
        return (-1, -1)
    return (found.st_size, found.st_mtime_ns)


def _image_item(item: Question) -> Item:
    files = {name: asdict(replace(file, paths=tuple(map(os.path.abspath, file.paths)))) for name, file in item.files.items()}
    return Item(item.item_id, {"files": files, "stamp": _stamp(item)})


def captions_of(path: Path) -> Source:
    """The captions of a table, an item each; the first of an image is "IMAGE#0".

    Args:
        path: a table with a column `caption`: a text, or in JSON a list of texts.

    Raises:
        ConfigError, DataError: as `read_table`; or there is no row.
        AnnotationError: a row has no caption, or states something that cannot be.
    """
    items: list[Item] = []
    documents: dict[str, Document] = {}
    rows = read_table(path)
    if not rows:
        raise DataError(f"{path}: no row in it. Name another table.")
    counts: dict[str, int] = {}
    for number, row in enumerate(rows):
        name = row.identifier(ID) if ID in row.values else row.file_name(IMAGE) if IMAGE in row.values else f"{path.stem}-{number}"
        for text in read_texts(row, CAPTION):
            check_words(text, row.source)
            key = f"{name}#{counts.setdefault(name, 0)}"
            counts[name] += 1
            image = row.file_name(IMAGE) if IMAGE in row.values else ""
            documents[key] = replace(_document(row, key), image=image, caption=text, stamp=stamp(text))
            items.append(Item(key, {"text": text}))
    return Source(items, documents, tuple(name for name in column_names(rows) if name not in KNOWN))


def check_words(text: str, source: str) -> None:
    """Raise DataError if a text has no word: no letter and no digit of any script."""
    if not any(character.isalnum() for character in text):
        raise DataError(f"{source}: {text!r} has no word in it, so nothing could be found by it. Write what is looked for.")


def _document(row: Entry, key: str) -> Document:
    values = row.values
    times = [row.text(name).strip() for name in TIMES if name in values]
    if times and not is_time(times[0]):
        raise AnnotationError(f"{row.source}: time {times[0]!r}; expected an ISO 8601 date or date-time, such as 2024-05-31. Correct it.")
    sensor = row.text(SENSOR).strip() if SENSOR in values else ""
    return Document(key, time=times[0] if times else "", sensor=sensor, cloud_cover=_clouds(row), footprint=_footprint(row))


def _clouds(row: Entry) -> float | None:
    if CLOUDS not in row.values:
        return None
    try:
        share = float(row.values[CLOUDS])
    except (TypeError, ValueError):
        share = -1.0
    if not 0 <= share <= 100:
        raise AnnotationError(f"{row.source}: {CLOUDS} {row.values[CLOUDS]!r:.40}; expected a share in percent, 0 to 100. Correct it.")
    return share


def _footprint(row: Entry) -> "BaseGeometry | None":
    import shapely

    if FOOTPRINT in row.values:
        try:
            shape = shapely.from_wkt(row.text(FOOTPRINT))
        except shapely.errors.ShapelyError as error:
            raise AnnotationError(f"{row.source}: {FOOTPRINT} is no WKT ({' '.join(str(error).split())[:80]}). Correct it.") from error
    elif BBOX in row.values:
        shape = _box(row)
    else:
        return None
    west, south, east, north = shape.bounds if not shape.is_empty else (1.0, 1.0, 0.0, 0.0)
    if not (LIMITS[0] <= west <= east <= LIMITS[2] and LIMITS[1] <= south <= north <= LIMITS[3]):
        raise AnnotationError(
            f"{row.source}: the footprint is empty, or lies outside of longitudes -180 to 180 and latitudes -90 to 90. Give degrees."
        )
    return shape


def _box(row: Entry) -> "BaseGeometry":
    from eocore.search.filters import parse_box

    value = row.values[BBOX]
    text = value if isinstance(value, str) else ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    try:
        return parse_box(text)
    except ConfigError as error:
        raise AnnotationError(f"{row.source}: {BBOX} {text[:60]!r}; expected WEST,SOUTH,EAST,NORTH in degrees. Correct it.") from error


def from_payload(files: Mapping[str, Mapping[str, Any]]) -> dict[str, ImageFile]:
    """Input -> image of a job's item."""
    return {
        name: ImageFile(
            **{
                **values,
                "paths": tuple(values["paths"]),
                "bands": tuple(values["bands"]),
                "window": tuple(values["window"]) if values["window"] else None,
            }
        )
        for name, values in files.items()
    }
