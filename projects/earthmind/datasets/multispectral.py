"""Questions about multispectral images whose annotation names a folder of composites or of bands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from eocore.data.formats.entries import Entry
from eocore.data.formats.llava import LlavaDataset, read_question
from eocore.errors import ConfigError
from eocore.portable.messages import Text, Turn
from eocore.registry import DATASETS
from eocore.sensors.bands import SENTINEL2_L2A_BANDS, Sensor, register_sensor

COMPOSITE_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
"""Bands of rgb_1.png to rgb_4.png, three each, in the first upstream grouping. Source: EarthMind v1, bigearthnet.py, which takes the
band files in sorted order, clips digital numbers to 0..3000 and writes them as 8 bits."""
REGROUPED_COMPOSITE_BANDS = ("B04", "B03", "B02", "B01", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
"""The later upstream grouping. Source: EarthMind, renamed Earth-Observation-VLMs. It stretches each band by its own percentiles, so its
values are no reflectances."""

COMPOSITE_SENSOR = register_sensor(Sensor("sentinel2_composites", SENTINEL2_L2A_BANDS, unit="uint8", raw_unit="uint8"))
"""Sentinel-2 bands stretched to 8 bits for display: what the stretch took away cannot be undone, so the unit is not reflectance."""

PATTERNS = {"composites": "{stem}/rgb_*.png", "bands": "{stem}/*B[0-9]*.tif"}


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class MultispectralFolderDataset(LlavaDataset):
    """LLaVA JSON, or JSON lines of {id, image, question, answer}, whose image ("a/patch.png" or "a/patch") names the folder `a/patch`.

    Args:
        annotations: ms_train.json or ms_test.jsonl.
        root: folder of the image folders.
        layout: "composites" (rgb_1.png ... as in upstream) or "bands" (one GeoTIFF for each band, its name at the end).
        sensor: sensor registry name; "" = sentinel2_composites for composites, sentinel2_l2a for bands.
        bands: names of the layers in file order; () = the first upstream grouping for composites, the file names for bands.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.
        task: "vqa", "caption" or "chat".
        id_field: field that names the sample; None = file stem and number of the entry.
        remove_duplicates: as LlavaDataset.

    Raises:
        ConfigError: unknown layout.
        DataError: a folder without such files.
    """

    uncompared: ClassVar[Mapping[str, str]] = {
        **LlavaDataset.uncompared,
        "root": "names below it and sizes of image files are compared, not where they lie",
    }

    images: Mapping[str, Mapping[str, Any]] = field(init=False)
    root: str
    layout: Literal["composites", "bands"] = "composites"
    sensor: str = ""
    bands: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.layout not in PATTERNS:
            raise ConfigError(f"MultispectralFolderDataset: layout must be one of {', '.join(PATTERNS)}, found '{self.layout}'.")
        sensor = self.sensor or (COMPOSITE_SENSOR.name if self.layout == "composites" else "sentinel2_l2a")
        bands = tuple(self.bands) or (COMPOSITE_BANDS if self.layout == "composites" else ())
        self.images = {"multispectral": {"root": self.root, "pattern": PATTERNS[self.layout], "sensor": sensor, "bands": bands}}
        super().__post_init__()

    def turns_of(self, entry: Entry) -> tuple[Turn, ...]:
        if "conversations" in entry.values:
            return super().turns_of(entry)
        question = read_question(entry.text("question"), entry.source, has_image=True)
        return Turn("user", question), Turn("assistant", (Text(entry.text("answer")),))
