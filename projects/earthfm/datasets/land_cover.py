"""Captions whose facts are scored: which land cover an image shows."""

from dataclasses import dataclass, replace
from pathlib import Path

from eocore.data.formats.llava import LlavaDataset
from eocore.data.records import Record
from eocore.registry import DATASETS

LAND_COVER = "land_cover"
"""Name of the task in evaluation."""


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class LandCoverCaptionDataset(LlavaDataset):
    """Captions in LLaVA's form, such as those of the synthetic world, evaluated by `earthfm.benchmarks.LandCoverCaption`.

    Args:
        annotations, images, transforms, limit, name, id_field, remove_duplicates: see `LlavaDataset`.
        task: "caption"; records have the task "land_cover".
        image_shift: each record shows the images of the one so many entries later, as a control: what a model then still scores comes from
            the captions, not from the images. 0 = its own.
    """

    task: str = "caption"
    image_shift: int = 0

    def parse(self, path: Path) -> list[Record]:
        records = super().parse(path)
        shown = [records[(number + self.image_shift) % len(records)].images for number in range(len(records))]
        return [replace(record, task=LAND_COVER, images=images) for record, images in zip(records, shown, strict=True)]
