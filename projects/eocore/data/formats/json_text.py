"""JSON texts that can be read in one way only: NaN, a key twice in one object, numbers beyond all bounds (1e999) and without end are
faults, told with their place."""

import json
import json.decoder
import json.scanner
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from eocore.errors import AnnotationError

_ENTRY_INSIDE = (["["], ["{", "["])
"""What an entry of an annotation file lies in: a list, alone or as a field of one object (COCO)."""
_EXTENT = json.JSONDecoder(parse_int=str, parse_float=str)
"""Takes what the others refuse: tells where a broken object ends."""
_PERHAPS_INFINITE = re.compile(r"[eE]\+?\d{3}|\d{300}")
"""Numbers that may lie beyond the largest float, 1.8e308."""


@dataclass(frozen=True)
class BrokenEntry:
    """Stands in a list for an object that cannot be read in one way; `eocore.data.formats.entries.as_entries` refuses it by its position.

    Attributes:
        fault: what is wrong.
        line: of the text where the object begins.
    """

    fault: str
    line: int


class _LocatedError(ValueError):
    """A fault with the line of the innermost object or list that holds it."""

    def __init__(self, fault: str, *, line: int) -> None:
        super().__init__(fault)
        self.line = line


def parse_json(text: str, path: str, *, line: int | None = None) -> Any:
    """What the text holds; entries of lists that can be read in two ways are `BrokenEntry`, so that the others are not lost with them.

    Args:
        text: JSON.
        path: of its file, for messages.
        line: of the file, where the text is one line of it.

    Raises:
        AnnotationError: with file:line: the text is no JSON, or can be read in two ways outside the entries of a list.
    """
    try:
        try:
            finite = _finite if _PERHAPS_INFINITE.search(text) else None  # called for each fraction: only where it may matter
            return json.loads(text, parse_constant=_no_number, parse_float=finite, object_pairs_hook=_object)
        except json.JSONDecodeError:
            raise
        except ValueError:
            return _LocatingDecoder().decode(text)
    except json.JSONDecodeError as error:
        if not text.strip():
            raise AnnotationError(f"{path}: the file is empty; expected JSON. Export or fetch it again.") from error
        where = f"{path}:{line or error.lineno}"
        raise AnnotationError(f"{where}: not JSON: {error.msg} (column {error.colno}). Correct or export the file again.") from error
    except _LocatedError as error:
        raise AnnotationError(f"{path}:{line or error.line}: not usable JSON: ValueError: {error}.") from error
    except (ValueError, RecursionError) as error:
        where = f"{path}:{line}" if line else path
        raise AnnotationError(f"{where}: not usable JSON: {type(error).__name__}: {error}.") from error


class _LocatingDecoder(json.JSONDecoder):
    """Slower than `json.loads`, and knows where it is: for texts in which a fault was found."""

    def __init__(self) -> None:
        super().__init__(parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_object)
        self._inside: list[str] = []
        self.parse_object = self._parse_object
        self.parse_array = self._parse_array
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]  # the stubs leave it out

    def _parse_object(self, position: tuple[str, int], *arguments: Any) -> tuple[Any, int]:
        return self._located(json.decoder.JSONObject, position, arguments=arguments, kind="{")  # type: ignore[attr-defined]

    def _parse_array(self, position: tuple[str, int], *arguments: Any) -> tuple[Any, int]:
        return self._located(json.decoder.JSONArray, position, arguments=arguments, kind="[")  # type: ignore[attr-defined]

    def _located(
        self, parse: Callable[..., tuple[Any, int]], position: tuple[str, int], *, arguments: tuple[Any, ...], kind: str
    ) -> tuple[Any, int]:
        """The value that begins at `position` (text, index behind its bracket), and the index behind its end."""
        text, start = position
        self._inside.append(kind)
        try:
            return parse(position, *arguments)
        except json.JSONDecodeError:
            raise
        except ValueError as error:
            line = text.count("\n", 0, start) + 1
            if kind == "{" and self._inside[:-1] in _ENTRY_INSIDE:
                return BrokenEntry(str(error), line), _EXTENT.raw_decode(text, start - 1)[1]
            raise error if isinstance(error, _LocatedError) else _LocatedError(str(error), line=line) from error
        finally:
            self._inside.pop()


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is beyond the largest number of 64 bits")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice[:60]!r} is duplicated in one object; which one is meant cannot be told")
    return made
