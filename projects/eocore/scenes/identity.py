"""What tells one scene from another, without reading it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eocore.data.records import ImageRef
from eocore.scenes.source import SceneSource


def source_identity(source: SceneSource) -> dict[str, Any]:
    """The area and, by role, the images of a scene, as a job's manifest holds them."""
    area = None if source.area is None else json.loads(json.dumps(source.area.geometry))
    return {"area": area, "images": {role: _identity(ref) for role, ref in source.refs.items()}}


def _identity(ref: ImageRef) -> dict[str, Any]:
    """An image by its files' sizes and times: a scene is too large to be read for a digest before anything begins."""
    files = [
        path for name in ref.paths for path in sorted(Path(name).rglob("*") if Path(name).is_dir() else [Path(name)]) if path.is_file()
    ]
    states = [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    found: dict[str, Any] = json.loads(json.dumps({**asdict(ref), "files": states}))
    return found
