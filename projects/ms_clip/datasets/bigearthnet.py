"""BigEarthNet as unpacked: one folder a patch with a file a band, a table of the split, labels beside the patches or in the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eocore.converters.bigearthnet import METADATA as METADATA_SUFFIX
from eocore.converters.bigearthnet import Patch, find_folder, labels_of_19, read_metadata, read_split
from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import each
from eocore.data.records import Record
from eocore.errors import ConfigError
from eocore.evaluate.benchmarks.multispectral import BIGEARTHNET_19
from eocore.log import get_logger
from eocore.registry import DATASETS

PARTS = ("train", "validation", "test")


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class BigEarthNetFolderDataset(RecordDataset):
    """Records of a patch and its classes among the 19; patches without any of them are left out and counted in the log.

    Meta holds `image` (the patch), `answer` and `labels` (its classes) and `candidates` (all classes).

    Args:
        annotations: the split, see `eocore.converters.bigearthnet.read_split`.
        folder: of the patches: <patch>/ (version 1) or <tile>/<patch>/ (version 2).
        images: role -> image source; `{name}` is the patch, with its tile where it lies below one.
        part: of metadata.parquet.
        other: name of a further class that stands for everything else and is no patch's; "" = none.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.
        estimate: see `RecordDataset`.

    Raises:
        ConfigError: another part, or `other` is one of the 19.
        DataError: the split or a patch is missing or broken.
        AnnotationError: a label is unknown.
    """

    folder: str
    part: str = "test"
    other: str = ""

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise ConfigError(f"BigEarthNetFolderDataset: part must be one of {', '.join(PARTS)}, found {self.part!r}.")
        if self.other in BIGEARTHNET_19:
            raise ConfigError(f"BigEarthNetFolderDataset: other='{self.other}' is one of the 19 classes. Give it a name of its own.")
        self.class_names = [*BIGEARTHNET_19, *([self.other] if self.other else [])]
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        found = each(read_split(path, self.part), self._record)
        records = [record for record in found if record is not None]
        if len(records) < len(found):
            get_logger().info(
                "%s: %d of %d patches have none of the 19 classes and are left out", path, len(found) - len(records), len(found)
            )
        return records

    def _record(self, patch: Patch) -> Record | None:
        folder = find_folder(Path(self.folder), patch.name, tile=patch.name.rsplit("_", 2)[0])
        source = str(folder)
        labels = self._labels(patch, folder)
        if not labels:
            return None
        image = str(folder.relative_to(self.folder))
        return Record(
            sample_id=patch.name,
            images=self.locate_images(image, source),
            task="multilabel",
            source=source,
            meta={"image": image, "answer": "; ".join(labels), "labels": labels, "candidates": self.class_names},
            labels=tuple(labels),
        )

    def _labels(self, patch: Patch, folder: Path) -> Sequence[str]:
        given = read_metadata(folder / f"{folder.name}{METADATA_SUFFIX}")["labels"] if patch.labels is None else patch.labels
        return labels_of_19(list(given), str(folder))
