"""JSON objects read into typed values: pydantic checks the fields, and what it finds becomes one error of this framework."""

from collections.abc import Hashable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from eocore.errors import DataError, EOError

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

Value = TypeVar("Value")

CLOSED = {"extra": "forbid", "strict": True}
"""`__pydantic_config__` of a type with these fields and no others, whose values are not converted ("3" is no 3)."""
OPEN = {"extra": "allow", "strict": True}
"""The same of a type whose values may hold further fields, which are kept."""
_MOST_SHOWN = 3


def parse_fields(text: str | bytes, kind: type[Value], *, source: str, remedy: str, error: type[EOError] = DataError) -> Value:
    """The value that a JSON text describes.

    Args:
        text: JSON, UTF-8.
        kind: dataclass, TypedDict (of typing_extensions, as pydantic asks for) or plain type.
        source: file, or file:line, for messages.
        remedy: what to do about a wrong field, whole sentences.
        error: class of the error.

    Raises:
        EOError: of class `error`: no JSON, or a field is missing, unknown or of another type.
    """
    from pydantic import ValidationError

    try:
        return cast("Value", _adapter(cast("Hashable", kind)).validate_json(text))
    except ValidationError as found:
        raise error(f"{source}: {_describe(found)}. {remedy}") from found


@lru_cache
def _adapter(kind: Hashable) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    return TypeAdapter(cast("Any", kind))


def _describe(error: "ValidationError") -> str:
    found = error.errors(include_url=False)
    first = found[0]
    if first["type"] == "json_invalid":
        return f"not JSON ({first['ctx']['error']})"
    missing = [_name(item["loc"]) for item in found if item["type"] == "missing"]
    unknown = [_name(item["loc"]) for item in found if item["type"] in ("extra_forbidden", "unexpected_keyword_argument")]
    parts = [f"lacks {', '.join(missing)}"] if missing else []
    parts += [f"has the unknown {', '.join(unknown)}"] if unknown else []
    if not parts:
        parts = [_wrong(item["loc"], item["msg"], value=item["input"]) for item in found[:_MOST_SHOWN]]
        parts += [f"{len(found) - _MOST_SHOWN} more"] if len(found) > _MOST_SHOWN else []
    return "; ".join(parts)


def _wrong(location: tuple[int | str, ...], message: str, *, value: Any) -> str:
    said = message.removeprefix("Value error, ")
    said = f"{said[:1].lower()}{said[1:]}".replace("input should be", "expected")
    return f"{f'field {_name(location)}: ' if location else ''}{said}, found {value!r:.80}"


def _name(location: tuple[int | str, ...]) -> str:
    """`masks[0].size` of ("masks", 0, "size")."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
