"""Configs as they resolve: every option with its value, defaults filled in, without what decides no result.

What a class takes is read from its signature, so that an option added to it is part of the result without a word said anywhere. A class
names the exceptions itself, beside its options; those of the classes that it is made of count too:

    uncompared: option -> why it is left out: it changes no result, or what it leads to is compared instead
    sections: option, or `option.*` for each of its entries -> the class whose fields a plain mapping there holds
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eocore.registry import find_factory, options_of

EACH = "*"
POSITION = "position"
"""What the position of an entry among its like is recorded as."""
Factory = Callable[..., Any]


@dataclass(frozen=True)
class Resolved:
    """Values as JSON holds them, and what is known of their defaults.

    Attributes:
        values: mappings, lists, texts, numbers, yes or no, None.
        defaults: dotted path below `values` -> the default of the option there, for every option that has one.
    """

    values: Any
    defaults: Mapping[str, Any] = field(default_factory=dict)


def resolve(value: Any, factory: Factory | None = None) -> Resolved:
    """A config entry with the defaults of whatever it describes.

    Args:
        value: a mapping with `type` (a registered name), a list, or anything else, which stays as it is; entries are resolved in turn.
        factory: what takes the entries of a mapping without `type` as keyword arguments: a class, a dataclass or a function.
    """
    if isinstance(value, Mapping):
        return _resolve_options(value, factory or find_factory(value.get("type")))
    if isinstance(value, list | tuple):
        return join({str(number): resolve(part) for number, part in enumerate(value)}, as_list=True)
    return Resolved(plain(value))


def resolve_instance(options: Any) -> Resolved:
    """The fields of an options dataclass, but for those its class leaves out."""
    return resolve({name.name: getattr(options, name.name) for name in dataclasses.fields(options)}, type(options))


def join(parts: Mapping[str, Resolved], *, as_list: bool = False) -> Resolved:
    """Resolved parts under their names; as a list where the names are its positions."""
    values = {name: part.values for name, part in parts.items()}
    defaults = {(f"{name}.{path}" if path else name): default for name, part in parts.items() for path, default in part.defaults.items()}
    return Resolved(list(values.values()) if as_list else values, defaults)


def _resolve_options(given: Mapping[str, Any], factory: Factory | None) -> Resolved:
    known = {} if factory is None else defaults_of(factory)
    left_out, sections = declared(factory, "uncompared"), declared(factory, "sections")
    parts = {
        str(name): _resolve_entry(value, sections.get(name), each=sections.get(f"{name}.{EACH}"))
        for name, value in {**known, **given}.items()
        if name not in left_out
    }
    joined = join(parts)
    own = {name: resolve(value).values for name, value in known.items() if name not in left_out}
    return Resolved(joined.values, {**joined.defaults, **own})


def _resolve_entry(value: Any, whole: Factory | None, *, each: Factory | None) -> Resolved:
    if each is None:
        return resolve(value, whole)
    if isinstance(value, Mapping):
        return join({str(name): _at(position, resolve(part, each)) for position, (name, part) in enumerate(value.items())})
    return join({str(number): resolve(part, each) for number, part in enumerate(value or ())}, as_list=True)


def _at(position: int, entry: Resolved) -> Resolved:
    """An entry of a mapping whose order counts, such as image sources: masks are on the grid of the first image. What was recorded before
    the position was has no position, which is no difference."""
    if not isinstance(entry.values, dict):
        return entry
    return Resolved({**entry.values, POSITION: position}, {**entry.defaults, POSITION: position})


def declared(factory: Factory | None, name: str) -> dict[str, Any]:
    """Entries of the class attribute `name` (`uncompared`, `sections`, ...) of what takes options, and of the classes it is made of."""
    owner = None if factory is None else options_of(factory)
    classes = reversed(inspect.getmro(owner)) if inspect.isclass(owner) else [owner]
    return {key: value for part in classes for key, value in getattr(part, "__dict__", {}).get(name, {}).items()}


def defaults_of(factory: Factory) -> dict[str, Any]:
    """Argument -> default of what can be given by name to a class or function and need not be."""
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    factory = options_of(factory)
    parameters = inspect.signature(factory).parameters.values()
    found = {entry.name: entry.default for entry in parameters if entry.kind in by_name and entry.default is not entry.empty}
    if dataclasses.is_dataclass(factory):  # a field made by a factory has a placeholder in the signature
        made = {entry.name: entry.default_factory for entry in dataclasses.fields(factory)}
        found |= {name: make() for name, make in made.items() if make is not dataclasses.MISSING}
    return found


def plain(value: Any) -> Any:
    """`value` as JSON gives it back; a class or function by its name, any other object by that of its class."""
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(part) for part in value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Path):
        return str(value)
    return getattr(value, "__qualname__", type(value).__qualname__)
