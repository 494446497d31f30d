"""Content digests of files, the same for every copy: names, locations and times do not count."""

import hashlib
import json
from pathlib import Path
from typing import Any

from eocore.data.image_sources import IMAGE_SUFFIXES

ABSENT = "absent"


def stamp(value: Any) -> str:
    """sha256 of plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file's content; of a folder, of the names and contents of its files; ABSENT where there is neither.

    Of images in a folder of annotations only the size counts here: those that are shown have digests of their own.
    """
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if item.is_file())
        return stamp([(str(item.relative_to(path)), item.stat().st_size if _is_image(item) else file_digest(item)) for item in files])
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # a sample whose image cannot be read counts as missing; once it can be, the data is other data
        return ABSENT


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.suffix.lower() != ".json"
