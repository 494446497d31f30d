"""Configs: read, overridden, checked, with errors that name the line or the nearest key."""

import ast
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mmengine.config import Config

from eocore.config_files import check_types, read_config
from eocore.errors import ConfigError
from eocore.option_types import annotations_of, check_option
from eocore.shipped_configs import find_shipped, nearest_shipped
from eocore.text import did_you_mean, nearest

NEW_KEY = "+"
MAX_CHOICES = 12

Options = TypeVar("Options")


def load_config(path: str | Path, options: Mapping[str, Any] | None = None, *, trust: bool = False) -> Config:
    """The config of a file, its `_base_` files merged, with overrides.

    A `.py` config is run as code; one from outside the project's `configs` folder only if `trust` says so.

    Args:
        path: a `.py`, `.json` or `.yaml` file, or the name of a shipped config (`locate_config`).
        options: dotted key -> value, as `--cfg-options` gives them; list entries by number (`hooks.0.interval`). A key that the config
            does not have is an error unless it starts with `+`.
        trust: run a Python file from anywhere.

    Raises:
        ConfigError: the file or a base of it is missing or broken, or an override names a key that does not exist.
    """
    path = locate_config(path)
    try:
        config = read_config(path, trust=trust)
    except ConfigError:
        raise
    except SyntaxError as error:
        raise ConfigError(f"{_broken_file(path)}:{error.lineno}: not valid Python ({error.msg}). Correct the line.") from error
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: a file it builds on is missing: {error}. Correct its _base_.") from error
    except Exception as error:  # a config is code: anything can be raised in it
        raise ConfigError(f"{path}: reading it failed with {type(error).__name__}: {error}. Correct it or its _base_ files.") from error
    for key, value in (options or {}).items():
        _override(config, key, value=value)
    check_types(config.to_dict(), str(path))
    return config


def locate_config(path: str | Path) -> Path:
    """The file of a config: the one at that path, else the shipped config of that name (`eocore.shipped_configs.find_shipped`).

    Raises:
        ConfigError: there is no such file and no shipped config of that name, or several.
    """
    path = Path(path)
    if path.is_file():
        return path
    shipped = find_shipped(path.as_posix())
    if shipped is not None:
        return shipped
    if path.is_dir():
        inside = sorted(file.name for file in path.glob("*.py"))
        raise ConfigError(f"config {path} is a folder; expected a file. Configs in it: {', '.join(inside[:MAX_CHOICES]) or 'none'}.")
    raise ConfigError(
        f"config {path} does not exist.{_nearest_file(path)} Give the path of a .py, .json or .yaml file, or the name of a shipped config."
    )


def _broken_file(path: Path) -> str:
    """Where a syntax error is: mmengine does not say whether in the config or in a file it builds on."""
    try:
        ast.parse(path.read_text())
    except SyntaxError:
        return str(path)
    return f"a _base_ file of {path}"


def _override(config: Config, key: str, *, value: Any) -> None:
    if key.startswith(NEW_KEY):
        key = key.removeprefix(NEW_KEY)
    else:
        _check_exists(config, key)
    try:
        config.merge_from_dict({key: value})
    except (TypeError, KeyError, IndexError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"--cfg-options {key}: the value cannot be put there ({type(error).__name__}: {error}): a part of the key is no section, or no "
            "entry of its list. Look at what is there with tools/print_config.py."
        ) from error


def _check_exists(config: Config, key: str) -> None:
    node: Any = config
    parts = key.split(".")
    for depth, part in enumerate(parts):
        names = _names(node)
        if part not in names:
            where = ".".join(parts[:depth]) or "the config"
            near = nearest(part, names)
            hint = f" Did you mean '{'.'.join([*parts[:depth], near[0]])}'?" if near else ""
            shown = ", ".join(names[:MAX_CHOICES]) + (", ..." if len(names) > MAX_CHOICES else "")
            raise ConfigError(
                f"--cfg-options {key}: {where} has no '{part}', so the override would change nothing.{hint} Keys there: {shown or 'none'}. "
                f"To add a key, write {NEW_KEY}{key}=..."
            )
        node = node[int(part)] if isinstance(node, Sequence) else node[part]


def _names(node: Any) -> list[str]:
    if isinstance(node, Mapping | Config):
        return [str(name) for name in node.keys()]  # noqa: SIM118  (Config iterates over names only through keys)
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [str(index) for index in range(len(node))]
    return []


def _nearest_file(path: Path) -> str:
    """A hint at a file of nearly that name, in its folder or among the shipped configs; or that the folder is missing."""
    beside = {file.name: file for file in path.parent.glob("*") if file.is_file()}
    near = nearest(path.name, beside)
    if near:
        return f" Did you mean {_shown(beside[near[0]])}?"
    shipped = nearest_shipped(path.name)
    if shipped is not None:
        return f" Did you mean {shipped.stem}, the shipped config {_shown(shipped)}?"
    return "" if path.parent.is_dir() else f" There is no folder {path.parent} either."


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def require(config: Config, key: str) -> Any:
    """The value of a top-level key.

    Raises:
        ConfigError: the config does not have it.
    """
    if key not in config:
        raise ConfigError(f"{config.filename or 'the config'} has no '{key}', which is needed. Keys there: {', '.join(_names(config))}.")
    return config[key]


def read_options(options: type[Options], section: Mapping[str, Any], *, name: str) -> Options:
    """An options dataclass from a config section.

    Args:
        options: a dataclass.
        section: its fields by name.
        name: of the section, for messages.

    Raises:
        ConfigError: the section is no mapping, a key is unknown or missing, or a value is of another type than its field.
    """
    check_option(name, section, annotation=Mapping[str, Any])
    fields = {field.name: field for field in dataclasses.fields(options)}  # type: ignore[arg-type]
    for key in section:
        if key not in fields:
            raise ConfigError(f"config section '{name}' has no option '{key}'.{did_you_mean(key, fields)} Options: {', '.join(fields)}.")
    missing = [key for key, field in fields.items() if key not in section and _has_no_default(field)]
    if missing:
        raise ConfigError(f"config section '{name}' needs {', '.join(missing)}. Options: {', '.join(fields)}.")
    annotations = annotations_of(options)
    for key, value in section.items():
        check_option(f"{name}.{key}", value, annotation=annotations.get(key, Any))
    return options(**section)


def _has_no_default(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
