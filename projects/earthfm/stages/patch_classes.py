"""What a patch of an image is covered by, from a class map beside the image: what the tiny encoder is trained on first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from earthfm.model.image_preparation import ImagePreparer
from earthfm.model.sensor_inputs import SensorInputs, join_samples
from eocore.data.io.readers import read_class_map
from eocore.data.records import Record
from eocore.data.sample_errors import named_after
from eocore.errors import AlignmentError
from eocore.registry import TRANSFORMS
from eocore.sensors.scene import Scene

CLASS_MAP = "class_map"
"""Key of a record's meta: path of the map."""


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class ClassMapBeside:
    """Notes the class map of a record's first image, which lies in a folder beside the image's.

    Args:
        folder: its name, beside the folder of the image's file.
        suffix: of its files, which are called as the images are.
    """

    folder: str = "landcover"
    suffix: str = ".tif"

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record with the path in its meta. Raises AlignmentError where it shows no image."""
        if not record.images:
            raise AlignmentError(f"{record.source}: the record shows no image, so that no class map can lie beside it.")
        image = Path(record.images[0].paths[0])
        path = image.parent.parent / self.folder / f"{image.stem}{self.suffix}"
        return replace(record, meta={**record.meta, CLASS_MAP: str(path)})


class PatchSample(NamedTuple):
    """One sample.

    Attributes:
        sample_id: of the record.
        images: its images (B = 1).
        fractions: (h * w, K) fraction of each class in each patch.
        faults: broken samples that this one stands for.
    """

    sample_id: str
    images: SensorInputs
    fractions: Tensor
    faults: tuple[Any, ...] = ()


class PatchBatch(NamedTuple):
    """B samples of one size.

    Attributes:
        images: of all samples.
        fractions: (B, h * w, K).
        sample_ids: of the records.
        faults: broken samples that others stand for.
    """

    images: SensorInputs
    fractions: Tensor
    sample_ids: list[str]
    faults: tuple[Any, ...] = ()


@dataclass(frozen=True)
class PatchPreparer:
    """Record and scenes -> sample.

    Attributes:
        images: of the encoder.
        num_classes: in the maps, numbered from 0 on.
    """

    images: ImagePreparer
    num_classes: int

    def __call__(self, record: Record, scenes: Sequence[Scene], *, rng: np.random.Generator) -> PatchSample:
        """The sample.

        Raises:
            AlignmentError: the record names no class map, or one that does not fit its images.
            BandError: an image does not fit the encoder.
        """
        if CLASS_MAP not in record.meta:
            raise AlignmentError(f"{record.source}: the record names no class map. Add the transform ClassMapBeside to its data set.")
        with named_after(record):
            inputs = self.images(list(scenes))
        classes = read_class_map(str(record.meta[CLASS_MAP]))
        return PatchSample(record.sample_id, inputs, self._fractions(classes, inputs, source=record.source))

    def _fractions(self, classes: np.ndarray, inputs: SensorInputs, *, source: str) -> Tensor:
        _, pixels, _ = next(inputs.sensors())
        side = self.images.options.patch_size
        height, width = pixels.shape[1:3]
        if classes.shape != (height, width) or not 0 <= int(classes.min()) <= int(classes.max()) < self.num_classes:
            raise AlignmentError(
                f"{source}: its class map has {classes.shape[0]} x {classes.shape[1]} px, numbers {classes.min()} to {classes.max()}; "
                f"expected {height} x {width} px and 0 to {self.num_classes - 1}. Correct num_classes or image_size, or the map."
            )
        blocks = classes.reshape(height // side, side, width // side, side).swapaxes(1, 2).reshape(-1, side * side)
        shares = [(blocks == number).mean(1) for number in range(self.num_classes)]
        return torch.from_numpy(np.stack(shares, axis=1).astype(np.float32))


def join_patches(samples: Sequence[PatchSample]) -> PatchBatch:
    """The batch. Raises AlignmentError if samples differ in size."""
    sizes = {sample.fractions.shape for sample in samples}
    if len(sizes) > 1:
        raise AlignmentError(
            f"samples of {', '.join(str(size[0]) for size in sizes)} patches in one batch. Set image_size, or batch_size=1."
        )
    faults = tuple(fault for sample in samples for fault in sample.faults)
    images = join_samples([sample.images for sample in samples])
    return PatchBatch(images, torch.stack([sample.fractions for sample in samples]), [sample.sample_id for sample in samples], faults)
