"""Content digests of what answers depend on: the files of a model, the annotations and the images of a data set.

Names, locations and times of files do not count: a copy is the same data, and a file changed in its place is other data.
"""

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from eocore.data.dataset import RecordDataset
from eocore.data.io.file_digests import file_digest, stamp
from eocore.data.records import MaskRef, Record
from eocore.distributed import Ranks

MODEL_FILES = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model")
"""What loading a model reads. Its Python files are not among them: models are built by the classes of this code."""
NUM_READERS = 4
IMAGES = "images"
"""Key of a data set's config under which image folders stand."""


def model_digests(folder: Path) -> dict[str, str]:
    """File name -> digest of everything that loading a model folder reads, the same for every copy of it."""
    paths = sorted({path for pattern in MODEL_FILES for path in folder.glob(pattern)})
    return dict(zip([path.name for path in paths], _digests(paths), strict=True))


def folder_digest(folder: Path) -> str:
    """Digest of all files that loading a model reads, in the folder and those below it."""
    folders = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
    return stamp({path.relative_to(folder).as_posix(): digests for path in folders if (digests := model_digests(path))})


def model_name(folder: Path) -> str:
    """The last two parts of its path: many a folder is called "model"."""
    return "/".join(folder.resolve().parts[-2:])


def annotation_files(source: RecordDataset, config: Mapping[str, Any]) -> list[Path]:
    """The files and folders a data set's records come from: those it knows, and all others that its config names outside `images`."""
    named = [Path(text) for text in _texts({key: value for key, value in config.items() if key != IMAGES}) if _exists(text)]
    return list(dict.fromkeys([*source.annotation_files, *named]))


def image_digests(source: RecordDataset, modalities: Collection[str], *, ranks: Ranks) -> dict[str, str]:
    """Modality -> digest of all its images that the records show, and "masks" -> of the mask files they name; each rank reads its share."""
    groups = _image_files(source.records, modalities)
    everything = sorted({path for paths in groups.values() for path in paths})
    mine = everything[ranks.rank :: ranks.world_size]
    found: dict[str, str] = {}
    for part in ranks.gather(dict(zip(mine, _digests([Path(path) for path in mine]), strict=True))):
        found.update(part)
    return {name: stamp(sorted(("/".join(Path(path).parts[-2:]), found[path]) for path in paths)) for name, paths in groups.items()}


def _image_files(records: Iterable[Record], modalities: Collection[str]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for record in records:
        for ref in record.images:
            if ref.role in modalities:
                groups.setdefault(ref.role, set()).update(ref.paths)
        masks: list[MaskRef] = [*record.masks, *record.regions, *(item.mask for item in record.expressions if item.mask)]
        for mask in masks:
            if mask.kind == "file":
                groups.setdefault("masks", set()).add(str(mask.data["path"]))
    return groups


def _digests(paths: Collection[Path]) -> list[str]:
    with ThreadPoolExecutor(NUM_READERS) as readers:  # hashing leaves the interpreter free
        return list(readers.map(file_digest, paths))


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _exists(text: str) -> bool:
    """Whether a text of a config names something that is there; a prompt or a class name is no path."""
    try:
        return "/" in text and Path(text).exists()
    except (OSError, ValueError):  # longer than a path may be, or with characters none can have
        return False
