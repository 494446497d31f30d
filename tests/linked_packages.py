"""Folders that offer chosen installed packages alone, by links to where they are installed: environments without a download."""

from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement


def with_requirements(wanted: Iterable[str]) -> Iterator[str]:
    """Names of these distributions and of all they need.

    Args:
        wanted: requirements as pip takes them, extras included: `torch`, `coverage[toml]>=7`.
    """
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(text) for text in wanted]
    while waiting:
        item = waiting.pop()
        name = item.name.lower().replace("_", "-")
        for extra in ("", *sorted(item.extras)):
            if (name, extra) in seen:
                continue
            if not any(name == known for known, _ in seen):
                yield name
            seen.add((name, extra))
            needed = [Requirement(text) for text in distribution(name).requires or ()]
            waiting += [other for other in needed if other.marker is None or other.marker.evaluate({"extra": extra})]


def link_packages(folder: Path, wanted: Iterable[str]) -> Path:
    """The new folder, with links to these distributions and to what they need."""
    folder.mkdir()
    for name in with_requirements(wanted):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(found.locate_file(top))).resolve())
    return folder
