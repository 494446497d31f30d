"""Images of one class each, listed in a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import Entry, each
from eocore.data.formats.tables import read_csv
from eocore.data.records import Record
from eocore.errors import AnnotationError, ConfigError
from eocore.registry import DATASETS


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class ClassTableDataset(RecordDataset):
    """Records of an image and its class, one a line of a CSV file with a header.

    Meta holds `image`, `answer` (the class), `candidates` (all classes) and `type` (the class).

    Args:
        annotations: the file.
        images: role -> image source; `{name}` is the image column.
        image_field: column of the image's name.
        label_field: column of the class.
        classes: what stands in the file -> class name, in the order of the classes; a list keeps the names; () = all that stand there,
            sorted.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the file's stem.
        estimate: see `RecordDataset`.

    Raises:
        ConfigError: a column has no name, or two labels have one class name.
        DataError: the file is missing or cannot be read.
        AnnotationError: a column is missing, or a line names another class.

    Attributes:
        class_names: in order.
    """

    images: Mapping[str, Mapping[str, Any]]
    image_field: str = "image"
    label_field: str = "label"
    classes: Mapping[str, str] | Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.image_field or not self.label_field:
            raise ConfigError("ClassTableDataset: image_field and label_field must name columns of the file, found an empty one.")
        self.class_names: list[str] = []
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        labelled = each(read_csv(path), lambda entry: (entry, entry.text(self.label_field).strip()))
        named = dict(self.classes) if isinstance(self.classes, Mapping) else {label: label for label in self.classes}
        names = named or {label: label for label in sorted({label for _, label in labelled})}
        self.class_names = list(names.values())
        if len(set(self.class_names)) < len(self.class_names):
            raise ConfigError(f"ClassTableDataset: two labels have one class name in {self.class_names}. Give each its own.")
        return each(labelled, lambda pair: self._record(*pair, names=names))

    def _record(self, entry: Entry, label: str, *, names: Mapping[str, str]) -> Record:
        if label not in names:
            raise AnnotationError(
                f"{entry.source}: class '{label}' is none of {', '.join(names)}. Correct the line, or the list of classes."
            )
        image, name = entry.file_name(self.image_field), names[label]
        return Record(
            sample_id=image,
            images=self.locate_images(image, entry.source),
            task="classification",
            source=entry.source,
            meta={"image": image, "answer": name, "candidates": self.class_names, "type": name},
            labels=(name,),
        )
