"""Annotation files read without running or repairing anything in them; every complaint starts with file:line or file#entry."""

import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from eocore.data.formats.json_text import BrokenEntry, parse_json
from eocore.data.records import MaskRef, Window
from eocore.errors import AnnotationError, DataError
from eocore.log import get_logger

Item = TypeVar("Item")
Made = TypeVar("Made")

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 60, 60

MAX_JSON_BYTES = 4 * 2**30
"""Larger JSON files are refused: what they become in memory takes some ten times their size."""

LARGE_BYTES = 50 * 10**6
"""Reading and checking a larger file takes so long that the log says what is going on."""

MAX_LINE_CHARACTERS = 64 * 2**20
"""Longer lines of a .jsonl file are refused: one annotation with the RLE of the largest image takes some MB."""

LARGEST_CSV_BYTES = 2**30
"""Larger CSV files are refused: they are read at once."""

MAX_NAME_CHARACTERS = 1024

LARGEST_INTEGER = 2**63 - 1
"""Larger ones are no count and no id, and take quadratic time to print."""

_FORBIDDEN_IN_TEXT = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f\\ud800-\\udfff]")
"""Control characters, which would reach terminals and logs, and halves of UTF-16 pairs, which no tokenizer takes."""


@dataclass(frozen=True)
class Entry:
    """One annotation with its location in the file; the getters check the type of what they return.

    Attributes:
        values: the object as read.
        source: "file:line" or "file#entry" (entries count from 0).
    """

    values: Mapping[str, Any]
    source: str

    def text(self, key: str) -> str:
        """The non-empty string under `key`. Raises AnnotationError otherwise."""
        value = self._get(key)
        if not isinstance(value, str) or not value.strip():
            self._refuse(key, "a text that is not empty", value=value)
        if _FORBIDDEN_IN_TEXT.search(value):
            self._refuse(key, "a text without control characters", value=value)
        return value

    def file_name(self, key: str) -> str:
        """The printable text of one line under `key`. Raises AnnotationError otherwise."""
        value = self.text(key)
        if not value.isprintable() or len(value) > MAX_NAME_CHARACTERS:
            self._refuse(key, f"a printable name of at most {MAX_NAME_CHARACTERS} characters", value=value)
        return value

    def identifier(self, key: str) -> str:
        """The text or whole number under `key`, as text. Raises AnnotationError otherwise."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            self._refuse(key, "a text or a whole number", value=value)
        return self.file_name(key) if isinstance(value, str) else str(self.integer(key))

    def integer(self, key: str, *, minimum: int | None = None) -> int:
        """The whole number under `key`, at least `minimum`. Raises AnnotationError otherwise."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST_INTEGER:
            self._refuse(key, "a whole number", value=value)
        if minimum is not None and value < minimum:
            self._refuse(key, f"a number of at least {minimum}", value=value)
        return value

    def items(self, key: str) -> list[Any]:
        """The non-empty list under `key`. Raises AnnotationError otherwise."""
        value = self._get(key)
        if not isinstance(value, list | tuple) or not value:
            self._refuse(key, "a list that is not empty", value=value)
        return list(value)

    def entries(self, key: str) -> list["Entry"]:
        """The non-empty list of objects under `key`. Raises AnnotationError otherwise."""
        values = self.items(key)
        if not all(isinstance(value, Mapping) for value in values):
            self._refuse(key, "a list of objects", value=values)
        return [Entry(value, f"{self.source} {key}[{position}]") for position, value in enumerate(values)]

    def window(self, key: str = "window") -> Window | None:
        """(row, col, height, width) [px] under `key`, None where there is no such key. Raises AnnotationError for anything else."""
        if key not in self.values:
            return None
        value = self.values[key]
        numbers = list(value) if isinstance(value, list | tuple) else []
        whole = [number for number in numbers if isinstance(number, int) and not isinstance(number, bool) and number <= LARGEST_INTEGER]
        if len(numbers) != 4 or len(whole) != 4 or min(whole[:2]) < 0 or min(whole[2:]) < 1:
            self._refuse(key, "[row, col, height, width] in whole pixels, which lies inside the image", value=value)
        row, col, height, width = whole
        return row, col, height, width

    def extras(self, *known: str) -> dict[str, Any]:
        """The plain values (text, number, yes/no) under all keys but `known`: what evaluation may group by."""
        return {key: value for key, value in self.values.items() if key not in known and isinstance(value, str | int | float | bool)}

    def _get(self, key: str) -> Any:
        if key not in self.values:
            raise AnnotationError(
                f"{self.source}: no field '{key}'; found {', '.join(map(str, self.values)) or 'nothing'}. Correct the entry, or "
                "the type of the data set in the config."
            )
        return self.values[key]

    def _refuse(self, key: str, expected: str, *, value: Any) -> NoReturn:
        raise AnnotationError(f"{self.source}: field '{key}' must be {expected}, found {shorten(value)}.")


def shorten(value: Any) -> str:
    """`value` about as Python writes it, on one short line, however long or deep it is."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python does not print whole numbers of more than 4300 digits
        return f"a {type(value).__name__} that cannot be printed"


_faults: ContextVar[list[DataError] | None] = ContextVar("faults", default=None)


@contextmanager
def collecting_faults() -> Iterator[list[DataError]]:
    """Inside, `each` leaves broken entries out and adds what is wrong with them to the list, instead of raising at the first."""
    faults: list[DataError] = []
    token = _faults.set(faults)
    try:
        yield faults
    finally:
        _faults.reset(token)


def collected_faults() -> list[DataError]:
    """What was collected so far; empty outside `collecting_faults`."""
    return _faults.get() or []


def each(items: Iterable[Item], build: Callable[[Item], Made]) -> list[Made]:
    """`build` of every item. Raises what it raises, or, inside `collecting_faults`, leaves out the items it raises a DataError for."""
    faults = _faults.get()
    made: list[Made] = []
    for item in items:
        try:
            made.append(build(item))
        except DataError as error:
            if faults is None:
                raise
            faults.append(error)
    return made


def read_entries(path: str | Path) -> list[Entry]:
    """The entries of a .jsonl file (one object a line) or of a JSON file that holds one list of objects.

    Raises:
        DataError: the file is missing or cannot be read.
        AnnotationError: the text is not UTF-8 JSON, or holds something else than objects.
    """
    if Path(path).suffix.lower() == ".jsonl":
        lines = enumerate(_read_text(path).split("\n"), start=1)
        return each(((number, line) for number, line in lines if line.strip()), lambda item: _line(str(path), number=item[0], text=item[1]))
    return as_entries(read_json(path), str(path))


def as_entries(values: Any, source: str) -> list[Entry]:
    """`values`, a list of objects, as entries named `source`#0, #1, ... Raises AnnotationError for anything else."""
    if not isinstance(values, list):
        raise AnnotationError(f"{source}: expected a list of objects, found {type(values).__name__}: {shorten(values)}.")
    return each(enumerate(values), lambda item: _entry(item[1], f"{source}#{item[0]}"))


def read_json(path: str | Path) -> Any:
    """What the JSON file holds, see `parse_json`. Raises DataError (missing) or AnnotationError with file:line (broken)."""
    return parse_json(_read_text(path), str(path))


def read_object(path: str | Path, holds: str) -> Mapping[str, Any]:
    """The JSON object of a file.

    Args:
        path: of the file.
        holds: what the object has, for messages, such as "with images and annotations".

    Raises:
        DataError: the file is missing.
        AnnotationError: it is broken, or holds something else.
    """
    content = read_json(path)
    if not isinstance(content, Mapping):
        raise AnnotationError(f"{path}: expected an object {holds}, found {type(content).__name__}. Fetch the file again.")
    return content


def segmentation_mask(value: Any, source: str) -> MaskRef:
    """The mask a COCO `segmentation` describes: a list of [x0, y0, x1, y1, ...] rings, or an RLE object {size, counts}.

    Numbers are checked where the mask is drawn.

    Raises:
        AnnotationError: neither of the two.
    """
    if isinstance(value, Mapping) and "size" in value and "counts" in value:
        return MaskRef("rle", {"size": value["size"], "counts": value["counts"]}, source)
    if isinstance(value, list | tuple) and value and all(isinstance(ring, list | tuple) and len(ring) >= 6 for ring in value):
        return MaskRef("polygon", [list(ring) for ring in value], source)
    raise AnnotationError(
        f"{source}: a segmentation must be a list of rings [x0, y0, x1, y1, x2, y2, ...] or an RLE object {{size, counts}}, "
        f"found {shorten(value)}."
    )


def _entry(value: Any, source: str) -> Entry:
    if isinstance(value, BrokenEntry):
        raise AnnotationError(f"{source} (line {value.line}): not usable JSON: ValueError: {value.fault}. Correct the entry.")
    if not isinstance(value, Mapping):
        raise AnnotationError(f"{source}: expected an object, found {type(value).__name__}: {shorten(value)}.")
    return Entry(value, source)


def _line(path: str, *, number: int, text: str) -> Entry:
    source = f"{path}:{number}"
    if len(text) > MAX_LINE_CHARACTERS:
        raise AnnotationError(f"{source}: a line of {len(text)} characters, at most {MAX_LINE_CHARACTERS} are read. Split the entry.")
    return _entry(parse_json(text, path, line=number), source)


def _read_text(path: str | Path) -> str:
    """The UTF-8 text of a file, without the byte order mark that editors of Windows put before it."""
    raw = read_bytes(path, limit=MAX_JSON_BYTES)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise AnnotationError(f"{path}:{line}: not UTF-8 ({error.reason}, byte {error.start}). Save the file as UTF-8.") from error


def read_bytes(path: str | Path, *, limit: int, kind: str = "JSON") -> bytes:
    """What an annotation file holds. Raises DataError where it is missing, cannot be read, or is larger than `limit` [bytes]."""
    file = Path(path)
    try:
        if not file.exists():
            raise DataError(f"{path}: no such annotation file. Correct `annotations` in the config, or fetch the dataset (data/README.md).")
        if not file.is_file():
            raise DataError(f"{path}: no file but a folder or a device; expected an annotation file. Correct `annotations` in the config.")
        size = file.stat().st_size
        if size > limit:
            remedy = "Split the file." if kind == "JSON" else "Export the file as JSON lines."
            raise DataError(f"{path}: {size} bytes, at most {limit} are read as {kind}. {remedy}")
        if size > LARGE_BYTES:
            get_logger().info("reading %s (%d MB)", path, size // 10**6)
        return file.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: str | Path, error: OSError) -> DataError:
    """The error for a file that the system does not hand out: no permission, a disk that fails, a share that is gone."""
    return DataError(
        f"{path}: cannot be read ({error.strerror or error}); expected a file that this user may read. Correct its permissions, or those "
        "of its folders, or copy it again."
    )
