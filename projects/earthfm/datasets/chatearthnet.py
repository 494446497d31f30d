"""ChatEarthNet: nine bands of Sentinel-2 in three 8-bit pictures an image, and captions by GPT-3.5 or GPT-4V.

Source: zhu-xlab/ChatEarthNet at 1a3189b; Zenodo 11003436 (CC-BY-4.0).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eocore.data.dataset import RecordDataset
from eocore.data.formats.captions import CAPTION, check_task, read_texts
from eocore.data.formats.entries import Entry, each
from eocore.data.formats.tables import read_table
from eocore.data.records import ImageRef, Record
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.log import get_logger
from eocore.registry import DATASETS
from eocore.sensors.bands import SENTINEL2_L2A_BANDS, Sensor, register_sensor

FOLDERS = {
    "s2_rgb_images/s2_images": ("B04", "B03", "B02"),
    "s2_band_5_6_7_images": ("B05", "B06", "B07"),
    "s2_band_8_11_12_images": ("B08", "B11", "B12"),
}
"""Folder of each picture of an image -> its bands, in the order of its layers."""
BANDS = tuple(band for bands in FOLDERS.values() for band in bands)
SENSOR = register_sensor(
    Sensor(
        "sentinel2_chatearthnet", tuple(next(band for band in SENTINEL2_L2A_BANDS if band.name == name) for name in BANDS), "uint8", "uint8"
    )
)
"""Bands of Sentinel-2 stretched to 0..255 for display: from these numbers no reflectance can be told."""
IMAGE_SIZE = 256
"""Side of its pictures [px]."""
IMAGE_FIELDS = ("image", "image_id")
"""Both spellings occur among the published files."""
SUFFIX = ".png"


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class ChatEarthNetDataset(RecordDataset):
    """Records of an image and its captions, of one of the published files.

    Its images have neither date nor place, and B01, B8A and B09 are not among their bands. Meta holds `image`.

    Args:
        annotations: ChatEarthNet_caps_{35|4v}_{train,val,test}.json.
        folder: that holds the folders of pictures.
        folders: folder below it -> bands of its pictures, where they lie elsewhere than published.
        skip_missing: leave out images of which a picture is not there, counted in the log; else they are an error.
        task: "caption" or "retrieval".
        images: not used.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.
        estimate: see `RecordDataset`.

    Raises:
        ConfigError: another task, or folders that do not hold the nine bands once each.
        DataError: a file is missing.
        AnnotationError: an entry breaks the form.
    """

    folder: str
    images: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folders: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(FOLDERS))
    skip_missing: bool = False
    task: str = CAPTION

    def __post_init__(self) -> None:
        check_task(self.task, type(self).__name__)
        named = [band for bands in self.folders.values() for band in bands]
        if sorted(named) != sorted(BANDS):
            raise ConfigError(f"ChatEarthNetDataset: folders must name {', '.join(BANDS)} once each, found {', '.join(named) or 'none'}.")
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        found = each(enumerate(read_table(path)), lambda item: self._record(item[1]))
        kept = [record for record in found if record is not None]
        if len(kept) < len(found):
            get_logger().warning(
                "%s: %d of %d images lack a picture and are left out (skip_missing).", path, len(found) - len(kept), len(found)
            )
        if not kept:
            raise DataError(
                f"{path}: no image of its {len(found)} entries is below {self.folder}. Fetch and unzip them, or correct folder."
            )
        return kept

    def image_root(self, ref: ImageRef) -> Path:
        """See `RecordDataset.image_root`."""
        return Path(self.folder)

    def _record(self, entry: Entry) -> Record | None:
        image = self._image(entry)
        base = Path(self.folder).resolve()
        paths = tuple(base / folder / image for folder in self.folders)
        lacking = [path for path in paths if not path.is_file()]
        if lacking and self.skip_missing:
            return None
        if lacking:
            raise DataError(
                f"{entry.source}: image '{image}' lacks {', '.join(map(str, lacking))}; its other bands alone would be another image. "
                "Fetch and unzip it, or set skip_missing."
            )
        bands = tuple(band for names in self.folders.values() for band in names)
        return Record(
            sample_id=Path(image).stem,
            images=(ImageRef("multispectral", SENSOR.name, tuple(map(str, paths)), bands=bands),),
            task=self.task,
            source=entry.source,
            meta={"image": image},
            captions=read_texts(entry, "caption"),
        )

    def _image(self, entry: Entry) -> str:
        """The file name of the image, under either spelling."""
        spelled = [name for name in IMAGE_FIELDS if name in entry.values]
        if len(spelled) != 1:
            raise AnnotationError(f"{entry.source}: expected the image under one of {', '.join(IMAGE_FIELDS)}, found {list(entry.values)}.")
        name = entry.file_name(spelled[0])
        return name if name.endswith(SUFFIX) else name + SUFFIX
