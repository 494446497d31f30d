"""Tables of vectors, as GeoParquet: a row for each image or part of one, with its footprint, and what made the vectors in the metadata.

GeoParquet 1.1: https://geoparquet.org/releases/v1.1.0/ (coordinates are longitude and latitude, its default CRS).
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eocore.errors import ConfigError, DataError
from eocore.files import TEMPORARY, writing

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

ABOUT = b"eocore.vectors"
"""Key in the file's metadata."""
FORMAT = 1
TEXTS = ("id", "image", "window", "time", "sensor", "stamp")
FOOTPRINT, VECTOR = "footprint", "vector"
GEO = {"version": "1.1.0", "primary_column": FOOTPRINT, "columns": {FOOTPRINT: {"encoding": "WKB", "geometry_types": []}}}
LENGTH_TOLERANCE = 1e-3
"""By which a vector's length may differ from 1: of half precision, which other programs may have stored."""


@dataclass(frozen=True)
class MadeBy:
    """What made the vectors of a table.

    Attributes:
        model: name of the model's folder.
        digest: of the model's files, the same for every copy.
        path: where the model was.
    """

    model: str
    digest: str
    path: str = ""


@dataclass(frozen=True)
class VectorRow:
    """One image, or a part of one.

    Attributes:
        id: unique in its table.
        vector: (D,) float32 of length 1.
        image: absolute paths of its files, "; " between them.
        window: the part of it, "ROW,COL,HEIGHT,WIDTH" [px]; "" = all.
        time: ISO 8601; "" = unknown.
        sensor: names, "+" between them; "" = unknown.
        stamp: tells another state of the image's files.
        footprint: where it lies; None = unknown.
    """

    id: str
    vector: np.ndarray
    image: str = ""
    window: str = ""
    time: str = ""
    sensor: str = ""
    stamp: str = ""
    footprint: "BaseGeometry | None" = None


class VectorTable:
    """A table that is being written, a group of rows at a time.

    Args:
        path: of the file.
        made_by: what made the vectors.
    """

    def __init__(self, path: Path, made_by: MadeBy) -> None:
        self.num_rows = 0
        self._path, self._made_by = path, made_by
        self._file: Any = None

    def write(self, rows: Sequence[VectorRow]) -> None:
        """Puts rows behind those that are there. Raises ValueError where a vector has another width than those."""
        import pyarrow
        from pyarrow import parquet

        if not rows:
            return
        vectors = np.stack([row.vector for row in rows]).astype(np.float32)
        texts = {name: pyarrow.array([getattr(row, name) for row in rows], pyarrow.string()) for name in TEXTS}
        shapes = pyarrow.array([None if row.footprint is None else row.footprint.wkb for row in rows], pyarrow.binary())
        column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.ravel()), vectors.shape[1])
        about = {ABOUT: json.dumps({"format": FORMAT, **asdict(self._made_by)}), b"geo": json.dumps(GEO)}
        table = pyarrow.table({**texts, FOOTPRINT: shapes, VECTOR: column}).replace_schema_metadata(about)
        if self._file is None:
            self._file = parquet.ParquetWriter(self._path, table.schema)
        self._file.write_table(table)
        self.num_rows += len(rows)

    def close(self) -> None:
        """Ends the file."""
        if self._file is not None:
            self._file.close()


@contextmanager
def vector_table(path: Path, made_by: MadeBy) -> Iterator[VectorTable]:
    """A table to write rows to; the file is there, whole, when the block ends.

    Args:
        path: of the file.
        made_by: what made the vectors.

    Raises:
        OutputError: it cannot be written.
        DataError: no row was written.
    """
    aside = path.with_name(path.name + TEMPORARY)
    with writing(path, "the vectors"):
        path.parent.mkdir(parents=True, exist_ok=True)
        table = VectorTable(aside, made_by)
        try:
            yield table
        finally:
            table.close()
        if not table.num_rows:
            raise DataError(f"{path}: there is no vector to write.")
        aside.replace(path)


def read_vector_table(path: Path) -> tuple[MadeBy, list[VectorRow]]:
    """What made the vectors of a table, and its rows.

    Raises:
        ConfigError: a library is not installed.
        DataError: the file is missing or broken, is no such table, or holds vectors that are not of length 1, or ids that are not unique.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ConfigError(f"{path}: Parquet needs pyarrow. Install the extra: pip install 'eocore-earthmind[search]'.") from error
    if not path.is_file():
        raise DataError(f"{path}: no such file. Name a table of vectors, as tools/embed_scenes.py writes it.")
    try:
        found = parquet.read_table(path)
    except (ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({' '.join(str(error).split())[:200]}). Write or copy it again.") from error
    made_by = _made_by(path, found)
    columns = {name: found[name].to_pylist() for name in TEXTS}
    vectors = _vectors(path, found)
    if not len(vectors):
        raise DataError(f"{path}: no row in it. Name another table.")
    _check_ids(path, columns["id"])
    shapes = _shapes(path, found)
    rows = [
        VectorRow(vector=vectors[row], footprint=shapes[row], **{name: columns[name][row] or "" for name in TEXTS})
        for row in range(len(vectors))
    ]
    return made_by, rows


def _made_by(path: Path, table: Any) -> MadeBy:
    missing = [name for name in (*TEXTS, FOOTPRINT, VECTOR) if name not in table.column_names]
    stated = (table.schema.metadata or {}).get(ABOUT)
    if missing or stated is None:
        lacking = f"no column {', '.join(missing)}" if missing else f"no '{ABOUT.decode()}' in its metadata, which names the model"
        raise DataError(f"{path}: {lacking}; expected a table as tools/embed_scenes.py writes it. Images are given with --inputs.")
    try:
        about = json.loads(stated)
        number = about.pop("format")
        if number != FORMAT:
            raise DataError(f"{path}: format {number}; this version reads {FORMAT}. Write the table anew.")
        return MadeBy(**about)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: its metadata do not say what made the vectors ({error}). Write the table anew.") from error


def _vectors(path: Path, table: Any) -> np.ndarray:
    """(N, D) float32. Raises DataError where they have no common width, or not the length 1."""
    import pyarrow

    kind = table.schema.field(VECTOR).type
    if not pyarrow.types.is_fixed_size_list(kind) or not pyarrow.types.is_floating(kind.value_type):
        raise DataError(f"{path}: column {VECTOR} is {kind}; expected lists of one length of floating-point numbers. Write the table anew.")
    flat = table[VECTOR].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors: np.ndarray = np.asarray(flat, np.float32).reshape(-1, kind.list_size)
    if len(vectors) != table.num_rows:
        raise DataError(f"{path}: {table.num_rows - len(vectors)} rows have no vector. Write the table anew.")
    wrong = np.flatnonzero(~(np.abs(np.linalg.norm(vectors, axis=1) - 1) < LENGTH_TOLERANCE))
    if len(wrong):
        raise DataError(f"{path}: the vector of row {wrong[0] + 1} (of {len(wrong)}) has not the length 1. Write the table anew.")
    return vectors


def _shapes(path: Path, table: Any) -> "list[BaseGeometry | None]":
    import shapely

    try:
        return list(shapely.from_wkb(table[FOOTPRINT].to_pylist()))
    except (shapely.errors.ShapelyError, TypeError) as error:
        raise DataError(f"{path}: a footprint is no WKB ({error}). Write the table anew.") from error


def _check_ids(path: Path, ids: Sequence[str | None]) -> None:
    seen: set[str] = set()
    for number, name in enumerate(ids, start=1):
        if not name or name in seen:
            raise DataError(f"{path}: row {number} has the id '{name or ''}', which is empty or taken. Write the table anew.")
        seen.add(name)
