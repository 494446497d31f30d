"""Config files, which are untrusted: YAML and JSON hold data alone; Python files run only where they are trusted.

The shipped configs (`eocore.shipped_configs`) are code like the rest of the project, and trusted like it.
"""

import json
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config
from mmengine.logging import MMLogger

from eocore.errors import ConfigError
from eocore.log import get_logger
from eocore.shipped_configs import CONFIGS, find_shipped, nearest_shipped

DATA_SUFFIXES = (".json", ".yaml", ".yml")
MAX_BYTES = 4 * 2**20
MAX_NODES, MAX_DEPTH = 100_000, 64
"""The largest config of the project has some hundred values; YAML aliases can make millions of a few lines."""

BASE, DELETE = "_base_", "_delete_"
RUNS_CODE = ("custom_imports",)
"""Keys at which mmengine imports what the file names."""


def read_config(path: Path, *, trust: bool) -> Config:
    """The config of a file, its `_base_` files merged.

    Args:
        path: an existing `.py`, `.json`, `.yaml` or `.yml` file.
        trust: run a Python file from outside the project's `configs` folder.

    Raises:
        ConfigError: a Python file that is not trusted, another kind of file, or a data file that is broken or asks for more than data.
    """
    if path.suffix == ".py":
        _check_trusted(path, trust)
        return _run_python(path)
    if path.suffix not in DATA_SUFFIXES:
        raise ConfigError(f"config {path}: expected a .py, .json or .yaml file. Rename it, or name another one.")
    return Config(_read_merged(path, ()), filename=str(path), format_python_code=False)


def check_types(values: Any, source: str) -> None:
    """Nothing; raises ConfigError, with the key's path, where a `type` is more than the plain name of a registered class."""
    for key, value in _walk(values, source):
        if key.rpartition(".")[2] == "type" and isinstance(value, str) and not value.isidentifier():
            raise ConfigError(
                f"{source}: {key} is {value[:80]!r}, but a config builds registered names alone; nothing is imported by a dotted name. "
                "Name a class of the registry."
            )


def _check_trusted(path: Path, trust: bool) -> None:
    if path.resolve().is_relative_to(CONFIGS):
        return
    if not trust:
        raise ConfigError(
            f"config {path} is a Python file from outside {CONFIGS}; reading it runs it, with all your rights. Read it, then allow it "
            "with --trust-config. YAML and JSON configs need no trust, and inherit from shipped configs as well."
        )
    get_logger().warning("%s is run as Python code, because of --trust-config", path)


def _run_python(path: Path) -> Config:
    """The config of a Python file, without mmengine's line for every mention of an environment variable."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with _bases_by_name():
            return _with_plain_text(Config.fromfile(path))
    finally:
        logger.setLevel(level)


def _with_plain_text(config: Config) -> Config:
    """The same config, whose text is written as it is: yapf takes seconds for it, at a run's start and at each of its checkpoints.

    `Config.fromfile` of mmengine 0.10.7 takes the option and forgets it.
    """
    return Config(
        config.to_dict(),
        cfg_text=config.text,
        filename=config.filename,
        env_variables=config.env_variables,
        format_python_code=False,
    )


@contextmanager
def _bases_by_name() -> Iterator[None]:
    """Lets mmengine find a `_base_` by the name of a shipped config where no file is at that path; it has no setting for this."""
    find_by_path = Config._get_cfg_path

    def find(name: str, filename: str) -> tuple[str, str | None]:
        path, scope = find_by_path(name, filename)
        if Path(path).is_file():
            return path, scope
        shipped = find_shipped(name, parts=True)
        if shipped is None:
            raise ConfigError(f"config {filename}: a file it builds on is missing: {path}.{_hint(name)} Correct its {BASE}.")
        return str(shipped), None

    Config._get_cfg_path = staticmethod(find)
    try:
        yield
    finally:
        Config._get_cfg_path = staticmethod(find_by_path)


def _hint(name: str) -> str:
    near = nearest_shipped(name, parts=True)
    return f" No shipped config is called '{name}' either." + (f" Did you mean {near.stem}?" if near else "")


def _read_merged(path: Path, children: tuple[Path, ...]) -> dict[str, Any]:
    """The values of a data file on top of those of its bases."""
    if path in children:
        raise ConfigError(f"config {path} builds on itself: {' -> '.join(str(child) for child in (*children, path))}. Correct {BASE}.")
    values = _read_data(path)
    bases = values.pop(BASE, [])
    merged: dict[str, Any] = {}
    for name in bases if isinstance(bases, list) else [bases]:
        base = _find_base(name, path)
        content = _run_python(base).to_dict() if base.suffix == ".py" else _read_merged(base, (*children, path))
        twice = sorted(set(merged) & set(content))
        if twice:
            raise ConfigError(f"config {path}: {', '.join(twice)} stands in more than one file of {BASE}. Remove all but one.")
        merged.update(content)
    _check_deletions(values, merged, path=path)
    config = Config(merged)
    config.merge_from_dict(values, allow_list_keys=False)
    return config.to_dict()


def _find_base(name: Any, path: Path) -> Path:
    """The file a `_base_` entry names: beside the config, below it, or a shipped config, by its path or its name."""
    if not isinstance(name, str) or ":" in name or "\0" in name:
        raise ConfigError(
            f"config {path}: {BASE} names {str(name)[:80]!r}; expected a relative path or the name of a shipped config. "
            "Remote configs are not read."
        )
    base = (path.parent / name).resolve()
    shipped = None if base.is_file() else find_shipped(name, parts=True)
    if shipped is not None:
        return shipped
    inside = base.is_relative_to(path.parent.resolve()) or base.is_relative_to(CONFIGS)
    if not inside or (base.suffix == ".py" and not base.is_relative_to(CONFIGS)):
        raise ConfigError(
            f"config {path}: {BASE} names {name}, which lies outside {path.parent} and {CONFIGS}, or is Python code outside the latter; it "
            "is not read. Put it beside the config, as YAML or JSON."
        )
    if not base.is_file() or base.suffix not in (*DATA_SUFFIXES, ".py"):
        raise ConfigError(f"config {path}: {BASE} names {name}, but {base} is no config file.{_hint(name)} Correct it.")
    return base


def _read_data(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ConfigError(f"config {path}: {size} bytes, at most {MAX_BYTES} are read. Move data out of the config.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        values = json.loads(text, object_pairs_hook=_unique) if path.suffix == ".json" else yaml.load(text, Loader=_PlainLoader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"config {path}: not plain data: {' '.join(str(error).split())[:300]}. Correct it.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"config {path}: holds {type(values).__name__}; expected keys with values.")
    _check_keys("the config", values, path=path)
    for key, value in _walk(values, str(path)):
        _check_value(key, value, path=path)
    return values


def _check_value(key: str, value: Any, *, path: Path) -> None:
    if isinstance(value, dict):
        _check_keys(key, value, path=path)
    if not isinstance(value, dict | list | str | int | float | bool | None) or (isinstance(value, float) and not math.isfinite(value)):
        raise ConfigError(f"config {path}: {key} is {str(value)[:80]} ({type(value).__name__}); expected text, a number, yes or no.")
    if isinstance(value, str) and "{{" in value:
        raise ConfigError(f"config {path}: {key} holds a template; a data config reads no variables. Write the value.")


def _check_keys(where: str, values: Mapping[Any, Any], *, path: Path) -> None:
    for key in values:
        if not isinstance(key, str) or "." in key:
            raise ConfigError(f"config {path}: {where} has the key {str(key)[:80]!r}; expected a text without a dot.")
        if key in RUNS_CODE:
            raise ConfigError(f"config {path}: {where} has {key}, which would import code; a data config imports nothing. Use `systems`.")


def _check_deletions(values: Mapping[str, Any], base: Mapping[str, Any], *, path: Path) -> None:
    """Nothing; raises ConfigError where `_delete_` is not true, or has nothing to replace."""
    for key, value in values.items():
        if key == DELETE:
            raise ConfigError(f"config {path}: {DELETE} stands where there is nothing to delete. Remove it.")
        if isinstance(value, dict):
            below = base.get(key)
            if DELETE in value and (value[DELETE] is not True or not isinstance(below, dict)):
                raise ConfigError(f"config {path}: {key}.{DELETE} must be true, and {key} must stand in a base. Remove or correct it.")
            _check_deletions({k: v for k, v in value.items() if k != DELETE}, below if isinstance(below, dict) else {}, path=path)


def _walk(values: Any, source: str) -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of everything inside; raises ConfigError where it never ends or goes too deep."""
    waiting, seen = [("", values, 0)], 0
    while waiting:
        key, node, depth = waiting.pop()
        seen += 1
        if seen > MAX_NODES or depth > MAX_DEPTH:
            raise ConfigError(f"config {source}: more than {MAX_NODES} values or {MAX_DEPTH} levels at '{key[:80]}'. Make it smaller.")
        if key:
            yield key, node
        if isinstance(node, Mapping):
            waiting += [(f"{key}.{name}" if key else name, value, depth + 1) for name, value in node.items()]
        elif isinstance(node, list | tuple):
            waiting += [(f"{key}.{number}", value, depth + 1) for number, value in enumerate(node)]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key '{next(name for name in names if names.count(name) > 1)}' is duplicated")
    return made


class _PlainLoader(yaml.SafeLoader):
    """Reads plain values only, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        return _unique([(self.construct_object(key, deep=True), self.construct_object(value, deep=True)) for key, value in node.value])
