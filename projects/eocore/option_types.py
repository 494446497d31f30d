"""Whether a value fits the type that an option is annotated with: a slip in a config is named before anything is built with it."""

import inspect
import math
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from eocore.errors import ConfigError

NAMES = {
    int: "a whole number",
    float: "a number, such as 1e-4",
    str: "a text",
    bool: "True or False",
    type(None): "None",
    Path: "a path",
}
"""What the plain types are called in messages."""


def check_option(name: str, value: Any, *, annotation: Any) -> None:
    """Raise ConfigError unless a value fits an annotation.

    Lists stand for tuples, since configs hold lists; whole numbers stand for numbers, texts for paths. Annotations that no config value can
    have (classes of the program) are not checked.

    Args:
        name: of the option, with its section: "training.max_iters".
        value: as the config gives it.
        annotation: of the parameter or field.
    """
    problem = _mismatch(value, annotation, where=name)
    if problem is None:
        return
    where, found, expected = problem
    shown = repr(found)
    raise ConfigError(
        f"{where} is {shown if len(shown) <= 120 else shown[:117] + '...'} ({_kind(found)}); expected {_describe(expected)}. Correct it."
    )


def annotations_of(factory: Callable[..., Any]) -> Mapping[str, Any]:
    """Parameter -> annotation, of a class, dataclass or function; none where its annotations cannot be read at run time."""
    target: Any = factory
    if inspect.isclass(factory) and not hasattr(factory, "__dataclass_fields__"):
        target = factory.__init__
    try:
        return get_type_hints(target)
    except (NameError, TypeError):  # a name that is imported for type checking alone
        return {}


Mismatch = tuple[str, Any, Any]
"""Where, what was found there, what was expected."""


def _mismatch(value: Any, annotation: Any, *, where: str) -> Mismatch | None:
    """The first part of `value` that does not fit, by its path."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _mismatch_of_union(value, annotation, where=where)
    if origin is Literal or annotation in NAMES:
        fits = value in arguments if origin is Literal else _fits_plain(value, annotation)
        return None if fits else (where, value, annotation)
    kind = origin or annotation
    if inspect.isclass(kind) and issubclass(kind, Mapping):
        return _mismatch_of_mapping(value, annotation, where=where)
    if inspect.isclass(kind) and issubclass(kind, Sequence | set | frozenset):
        return _mismatch_of_list(value, annotation, where=where)
    return None


def _fits_plain(value: Any, annotation: Any) -> bool:
    if annotation is bool or annotation is type(None) or annotation is str:
        return isinstance(value, annotation)
    if annotation is Path:
        return isinstance(value, str | Path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) if annotation is int else math.isfinite(value)


def _mismatch_of_union(value: Any, annotation: Any, *, where: str) -> Mismatch | None:
    found = [_mismatch(value, part, where=where) for part in get_args(annotation)]
    if None in found:
        return None
    inside = [item for item in found if item is not None and item[0] != where]
    return inside[0] if len(inside) == 1 else (where, value, annotation)  # the part that fits on the outside is the one that is meant


def _mismatch_of_mapping(value: Any, annotation: Any, *, where: str) -> Mismatch | None:
    if not isinstance(value, Mapping):
        return where, value, annotation
    keys, values = get_args(annotation) or (Any, Any)
    parts = [part for key in value for part in ((key, keys, f"a key of {where}"), (value[key], values, f"{where}.{key}"))]
    return next((found for part, kind, name in parts if (found := _mismatch(part, kind, where=name)) is not None), None)


def _mismatch_of_list(value: Any, annotation: Any, *, where: str) -> Mismatch | None:
    if not isinstance(value, list | tuple | set | frozenset):
        return where, value, annotation
    arguments = get_args(annotation) or (Any,)
    fixed = get_origin(annotation) is tuple and arguments[-1] is not Ellipsis
    if fixed and len(arguments) != len(value):
        return where, value, annotation
    kinds = arguments if fixed else (arguments[0],) * len(value)
    parts = enumerate(zip(value, kinds, strict=True))
    return next((found for number, (part, kind) in parts if (found := _mismatch(part, kind, where=f"{where}.{number}")) is not None), None)


def _describe(annotation: Any) -> str:
    """An annotation in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_describe(part) for part in arguments))
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if annotation in NAMES:
        return NAMES[annotation]
    kind = origin or annotation
    if inspect.isclass(kind) and issubclass(kind, Mapping):
        return "keys with values, such as KEY=\"{'a': 1}\""
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        return f"a list of {len(arguments)}: {', '.join(map(_describe, arguments))}"
    return f"a list, each entry {_describe(arguments[0])}" if arguments and arguments[0] is not Any else "a list"


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "keys with values"
    return {list: "a list", tuple: "a list", str: "a text", int: "a whole number", float: "a number"}.get(type(value), type(value).__name__)
