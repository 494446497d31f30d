"""Tables as entries that know their file and line: CSV, TSV, JSON, JSON lines and Parquet."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eocore.data.formats.entries import LARGEST_CSV_BYTES, Entry, each, read_bytes, read_entries, shorten
from eocore.errors import AnnotationError, ConfigError, DataError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
TABLE_SUFFIXES = (*DELIMITERS, ".json", ".jsonl", ".parquet")


def read_table(path: Path) -> list[Entry]:
    """The rows of a table; empty cells are left out. Inside `collecting_faults` rows that break the form are left out too.

    Args:
        path: ends in one of TABLE_SUFFIXES.

    Raises:
        DataError: the file is missing, too large or cannot be read.
        AnnotationError: the file or a row breaks the form.
        ConfigError: another kind of file, or Parquet without its library.
    """
    suffix = path.suffix.lower()
    if suffix in DELIMITERS:
        return read_csv(path, delimiter=DELIMITERS[suffix])
    if suffix == ".parquet":
        return _read_parquet(path)
    if suffix in TABLE_SUFFIXES:
        return read_entries(path)
    raise ConfigError(f"{path}: expected a folder or a table ({', '.join(TABLE_SUFFIXES)}). Name one of these.")


def column_names(rows: Sequence[Entry]) -> list[str]:
    """All columns, in the order of first sight."""
    return list(dict.fromkeys(str(name) for row in rows for name in row.values))


def read_csv(path: Path, *, delimiter: str = ",") -> list[Entry]:
    """The lines of a CSV file with a header as entries of texts, named `path`:line; empty cells are left out.

    Args:
        path: UTF-8.
        delimiter: between cells.

    Raises:
        DataError: the file is missing, too large or cannot be read.
        AnnotationError: it is not UTF-8, has no header, or a line has another number of cells than the header.
    """
    try:
        text = read_bytes(path, limit=LARGEST_CSV_BYTES, kind="CSV").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: not UTF-8 ({error.reason}, byte {error.start}). Save the file as UTF-8.") from error
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(lines, [])
        if not any(cell.strip() for cell in header) or len(set(header)) < len(header):
            raise AnnotationError(f"{path}:1: expected a header with the name of each column once, found {shorten(header)}.")
        numbered = [(lines.line_num, cells) for cells in lines if cells]
    except csv.Error as error:
        raise AnnotationError(f"{path}:{lines.line_num}: not CSV: {error}. Quote cells that hold quotes or line breaks.") from error
    return each(numbered, lambda line: _line(f"{path}:{line[0]}", line[1], header=header))


def _line(source: str, cells: Sequence[str], *, header: Sequence[str]) -> Entry:
    if len(cells) != len(header):
        raise AnnotationError(f"{source}: {len(cells)} cells, but the header has {len(header)} columns. Correct it.")
    return Entry({name: cell for name, cell in zip(header, cells, strict=True) if cell}, source)


def _read_parquet(path: Path) -> list[Entry]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ConfigError(f"{path}: Parquet needs pyarrow. Install the extra: pip install 'eocore-earthmind[eval]'.") from error
    if not path.is_file():
        raise DataError(f"{path}: no such file. Name a table that is there.")
    try:
        values: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise AnnotationError(f"{path}: cannot be read as Parquet ({error}). Write it again, or as CSV.") from error
    filled = [{name: cell for name, cell in row.items() if cell is not None and cell != ""} for row in values]
    return [Entry(row, f"{path}#{number}") for number, row in enumerate(filled)]
