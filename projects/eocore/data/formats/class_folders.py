"""Images in one folder a class, as torchvision's ImageFolder reads them, with names of the classes and prompts made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eocore.data.dataset import RecordDataset
from eocore.data.image_sources import IMAGE_SUFFIXES
from eocore.data.records import Record
from eocore.errors import ConfigError, DataError
from eocore.registry import DATASETS

LABEL = "{label}"


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class ClassFolderDataset(RecordDataset):
    """Records of an image and its class, the name of its folder or what `classes` says for it.

    Meta holds `image` ("<folder>/<file>"), `answer` (the class), `candidates` (all classes) and `type` (the class).

    Args:
        annotations: the folder of the class folders.
        images: role -> image source; `{name}` is "<folder>/<file>". {} = the files of the class folders themselves as RGB pictures.
        classes: folder -> class name, in the order of the classes; () or {} = all folders by their names, sorted. A list of folders keeps
            their names.
        ordered_names: class names in the order of the sorted folders, where a release does not say how its folders are called.
        prompts: templates of captions, each with `{label}` once; every record has one caption of each. () = no captions.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the folder's name.
        estimate: see `RecordDataset`.

    Raises:
        ConfigError: a prompt without its `{label}`, two folders of one class name, or both `classes` and `ordered_names`.
        DataError: a class has no folder, or there is none; or there are more or fewer folders than `ordered_names`.

    Attributes:
        class_names: in order.
    """

    images: Mapping[str, Mapping[str, Any]]
    classes: Mapping[str, str] | Sequence[str] = ()
    ordered_names: Sequence[str] = ()
    prompts: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.prompts, str) or any(prompt.count(LABEL) != 1 for prompt in self.prompts):
            raise ConfigError(f"ClassFolderDataset: prompts must be a list of texts with {LABEL} once in each, found {self.prompts!r}.")
        if self.classes and self.ordered_names:
            raise ConfigError("ClassFolderDataset: classes and ordered_names both name the classes. Give one of them.")
        if not self.images:
            self.images = {"rgb": {"root": self.annotations, "pattern": "{name}", "sensor": "rgb_uint8"}}
        self.class_names: list[str] = []
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        names = self._folders(path)
        self.class_names = list(names.values())
        if len(set(self.class_names)) < len(self.class_names):
            raise ConfigError(f"ClassFolderDataset: two folders have one class name in {self.class_names}. Give each its own.")
        records = []
        for folder, label in names.items():
            files = sorted(file.name for file in (path / folder).iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
            records += [self._record(f"{folder}/{file}", label, source=f"{path / folder / file}") for file in files]
        return records

    def _folders(self, path: Path) -> dict[str, str]:
        """Folder -> class name, in the order of the classes."""
        if not path.is_dir():
            raise DataError(f"{path}: no such folder of class folders. Fetch the data set, or correct `annotations`.")
        found = sorted(folder.name for folder in path.iterdir() if folder.is_dir())
        if self.ordered_names:
            return self._in_order(path, found)
        named = dict(self.classes) if isinstance(self.classes, Mapping) else {folder: folder for folder in self.classes}
        chosen = named or {folder: folder for folder in found}
        absent = [folder for folder in chosen if folder not in found]
        if absent:
            raise DataError(f"{path}: no folder for {', '.join(absent)}; found {', '.join(found) or 'none'}. Fetch them all.")
        return chosen

    def _in_order(self, path: Path, folders: list[str]) -> dict[str, str]:
        if len(folders) != len(self.ordered_names):
            raise DataError(
                f"{path} holds {len(folders)} folders ({', '.join(folders) or 'none'}), expected {len(self.ordered_names)}, in this order: "
                f"{', '.join(self.ordered_names)}. A missing or further one would shift all names; correct the folders."
            )
        return dict(zip(folders, self.ordered_names, strict=True))

    def _record(self, image: str, label: str, *, source: str) -> Record:
        return Record(
            sample_id=image,
            images=self.locate_images(image, source),
            task="classification",
            source=source,
            meta={"image": image, "answer": label, "candidates": self.class_names, "type": label},
            captions=tuple(prompt.replace(LABEL, label) for prompt in self.prompts),
            labels=(label,),
        )
