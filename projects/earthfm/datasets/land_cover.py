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
    """

    task: str = "caption"

    def parse(self, path: Path) -> list[Record]:
        return [replace(record, task=LAND_COVER) for record in super().parse(path)]
