"""Maps whose pixels are numbers of classes, beside the images that they are of."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from eocore.data.dataset import RecordDataset
from eocore.data.image_sources import IMAGE_SUFFIXES
from eocore.data.io.masks import encode_rle
from eocore.data.records import MaskRef, Record
from eocore.errors import AnnotationError, DataError
from eocore.registry import DATASETS


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class ClassMapDataset(RecordDataset):
    """Records of an image and a mask of each class that it shows; meta holds their numbers in the order of `classes`, `classes`.

    Args:
        annotations: folder of the maps, one file an image.
        images: role -> image source; `{stem}` is the map's name without suffix.
        classes: value of the pixels -> name of the class.

    Raises:
        DataError: there is no such folder, no map in it, or a map is of more than one layer.
        AnnotationError: a map shows none of the classes.
    """

    classes: Mapping[str, str]

    def parse(self, path: Path) -> list[Record]:
        if not path.is_dir():
            raise DataError(f"{path}: no such folder of class maps. Make the data, or correct `annotations`.")
        return [self._record(file) for file in sorted(path.iterdir()) if file.suffix.lower() in IMAGE_SUFFIXES]

    def _record(self, file: Path) -> Record:
        values = self._read(file)
        known = [int(value) for value in self.classes]
        shown = [number for number, value in enumerate(known) if (values == value).any()]
        if not shown:
            raise AnnotationError(f"{file}: no pixel of the classes {', '.join(self.classes)}. Correct `classes`, or leave the map out.")
        masks = tuple(MaskRef("rle", encode_rle(values == known[number])) for number in shown)
        images = self.locate_images(file.name, str(file))
        meta = {"classes": shown}
        return Record(sample_id=file.stem, images=images, masks=masks, task="segmentation", source=str(file), meta=meta)

    @staticmethod
    def _read(file: Path) -> np.ndarray:
        """(H, W) numbers of classes."""
        try:
            with Image.open(file) as opened:
                values = np.asarray(opened)
        except OSError as error:
            raise DataError(f"{file} cannot be read as a map of classes ({error}). Save it as PNG or TIFF of one layer.") from error
        if values.ndim != 2:
            raise DataError(f"{file} has {values.shape} values, expected one layer of numbers of classes. Save it so.")
        return values
