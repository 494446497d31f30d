"""What tells one scene from another, without reading it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eocore.data.io.remote_files import is_remote, remote_state, without_query
from eocore.data.records import ImageRef
from eocore.scenes.source import SceneSource


def source_identity(source: SceneSource) -> dict[str, Any]:
    """The area, the grid, clouds and, by role, the images of a scene, as a job's manifest holds them."""
    clouds = [part for layer in source.clouds for part in (layer.kind, *_file_states((layer.path,)))]
    found: dict[str, Any] = {
        "area": None if source.area is None else source.area.geometry,
        "grid": None if source.grid is None else [*source.grid[:2], asdict(source.grid.georeference)],
        "clouds": clouds or None,
        "images": {role: _identity(ref) for role, ref in source.refs.items()},
    }
    stated: dict[str, Any] = json.loads(json.dumps({name: value for name, value in found.items() if value is not None}))
    return stated


def _identity(ref: ImageRef) -> dict[str, Any]:
    """An image by its files' sizes and times: a scene is too large to be read for a digest before anything begins."""
    stated = {**asdict(ref), "paths": [without_query(path) for path in ref.paths], "files": _file_states(ref.paths)}
    return {name: value for name, value in stated.items() if name != "remote"}


def _file_states(paths: Sequence[str]) -> list[list[Any]]:
    addresses = [path for path in paths if is_remote(path)]
    return _states([path for path in paths if path not in addresses]) + [remote_state(path) for path in addresses]


def _states(names: Sequence[str]) -> list[list[Any]]:
    paths = [path for name in names for path in (sorted(Path(name).rglob("*")) if Path(name).is_dir() else [Path(name)])]
    return [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in paths if path.is_file()]
