"""Conversations about a SAR and RGB pair: LLaVA JSON whose image name stands for a file in `rgb/img` and one in `sar/img`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from eocore.data.formats.entries import Entry
from eocore.data.formats.llava import LlavaDataset
from eocore.registry import DATASETS

RGB_PATTERNS = ("rgb/img/{name}", "rgb/img/{stem}.png", "rgb/img/{stem}.jpg")
SAR_PATTERNS = ("sar/img/{name}", "sar/img/{stem}.png", "sar/img/{stem}.jpg")
"""Part of the upstream pairs have a .jpg for the one and a .png for the other, so each is looked for."""


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class PairedDataset(LlavaDataset):
    """The upstream layout: `annotations` (final_all.json) in a folder with `rgb/img/` and `sar/img/`, joined by base name.

    Args:
        annotations: LLaVA JSON; folders in its image field are ignored.
        root: the folder with `rgb/img` and `sar/img`; "" = that of the annotations.
        rgb_sensor: sensor registry name of the RGB images.
        sar_sensor: sensor registry name of the SAR images; those of upstream are 8-bit pictures.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.
        task: "vqa", "caption" or "chat".
        id_field: field that names the sample; None = file stem and number of the entry.
        remove_duplicates: as LlavaDataset.
    """

    uncompared: ClassVar[Mapping[str, str]] = {
        **LlavaDataset.uncompared,
        "root": "names below it and sizes of image files are compared, not where they lie",
    }

    images: Mapping[str, Mapping[str, Any]] = field(init=False)
    root: str = ""
    rgb_sensor: str = "rgb_uint8"
    sar_sensor: str = "grey_uint8"
    id_field: str | None = None

    def __post_init__(self) -> None:
        root = self.root or str(Path(self.annotations).parent)
        self.images = pair_images(root, rgb_sensor=self.rgb_sensor, sar_sensor=self.sar_sensor)
        super().__post_init__()

    def image_field(self, entry: Entry) -> str:
        return PurePosixPath(entry.file_name("image")).name


def pair_images(root: str, *, rgb_sensor: str, sar_sensor: str) -> dict[str, dict[str, Any]]:
    """The image sources of the upstream pair layout below `root`."""
    return {
        "rgb": {"root": root, "pattern": RGB_PATTERNS, "sensor": rgb_sensor},
        "sar": {"root": root, "pattern": SAR_PATTERNS, "sensor": sar_sensor},
    }
