"""SSL4EO-S12 v1.1 with its captions, as published: Zarr zip files of 64 locations, or tar shards of one Zarr zip file a location."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from eocore.data.dataset import RecordDataset
from eocore.data.formats.captions import CAPTION, by_image, check_task
from eocore.data.formats.entries import Entry, each
from eocore.data.formats.tables import TABLE_SUFFIXES, read_table
from eocore.data.io.zarr_files import SHARD_SUFFIX, ZarrImage
from eocore.data.records import ImageRef, Record
from eocore.errors import AnnotationError, DataError
from eocore.registry import DATASETS
from eocore.sensors.bands import SENTINEL2_OFFSET_PB0400_DN, get_sensor
from eocore.sensors.ranges import siblings

ID_DIGITS = 7
"""Of the ids of samples, "0080717"; tables that were saved with numbers have lost leading zeros. Source: README of the data set."""
NUM_CHECKED = 8
DARK_PERCENTILE = 1.0
DARKEST_WITHOUT_OFFSET_DN = 800
"""In almost every image the darkest percentile of the darkest band (water, shadow, red or blue of vegetation) has a reflectance below 0.08,
the offset being 1000: between the two, the median of some images decides."""


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class Ssl4eoCaptionDataset(RecordDataset):
    """Records of one location at one time, with its captions. Meta holds `image` ("SAMPLE_TIME") and the plain further columns.

    A table has the columns `file`, `sample_id`, `time_id` and those of the captions, as Llama3-SSL4EO-S12-v1.1-captions; rows of one sample
    and time are one record. The images of a role are Zarr zip files (its source names the folder), or shards (its source names the folder,
    and as `index` the file that tools/prepare/ssl4eo.py makes of them). Digital numbers of the Zarr files carry the offset of 1000
    (sensor sentinel2_l2a_pb0400 or sentinel2_l1c_pb0400), those of the shards do not (sentinel2_l2a, sentinel2_l1c); some images are looked
    at when the data set is opened.

    Args:
        annotations: a table (.csv, .parquet ...), or a folder of tables of one kind.
        images: role -> image source.
        caption_fields: columns of captions; every record has one caption of each, in each of its rows.
        task: see `eocore.data.formats.captions.ImageCaptionDataset`.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.
        estimate: see `RecordDataset`.

    Raises:
        ConfigError: another task, or the library of Zarr files is not installed.
        DataError: a table is missing or cannot be read, or images have the other offset than their sensor.
        AnnotationError: a row breaks the form.
    """

    caption_fields: Sequence[str] = ("caption",)
    task: str = CAPTION

    def __post_init__(self) -> None:
        check_task(self.task, type(self).__name__)
        whole = {"pattern": "{name}"}  # the column `file` names the file with its suffix
        self.images = {role: source if "index" in source else {**whole, **source} for role, source in self.images.items()}
        super().__post_init__()
        for role in self.sources:
            self._check_offset(role)

    def parse(self, path: Path) -> list[Record]:
        self.annotation_files = find_tables(path)
        rows = (row for table in self.annotation_files for row in read_table(table))
        return by_image(each(rows, self._record))

    def _record(self, row: Entry) -> Record:
        sample, time, file = _sample_id(row), _time_id(row), row.file_name("file")
        name = f"{sample}_{time}"
        images = self._images(sample, time, file=file, source=row.source)
        return Record(
            sample_id=name,
            images=tuple(images),
            task=self.task,
            source=row.source,
            meta={"image": name, **row.extras("file", "sample_id", "time_id", *self.caption_fields)},
            captions=tuple(row.text(field).strip() for field in self.caption_fields),
        )

    def _images(self, sample: str, time: int, *, file: str, source: str) -> Iterable[ImageRef]:
        for role, images in self.sources.items():
            found = images.locate(sample if images.index else file, source, role=role)
            if found is not None:
                yield _with_item(found, sample, time=time)

    def _check_offset(self, role: str) -> None:
        """Raise DataError if images of a role have the other offset than their sensor; those that are not there are not looked at."""
        sensor = get_sensor(self.sources[role].sensor)
        plain = sensor.name.removesuffix("_pb0400")
        if not plain.startswith("sentinel2_") or sensor.raw_unit != "dn":
            return
        refs = [ref for record in self.records for ref in record.images_of(role)]
        chosen = refs[:: -(-len(refs) // NUM_CHECKED)]
        darkest = [darkest_number(ref) for ref in chosen if Path(ref.paths[0]).is_file()]
        known = [number for number in darkest if number is not None]
        if not known:
            return
        has_offset = float(np.median(known)) > DARKEST_WITHOUT_OFFSET_DN
        if has_offset != (sensor.offset_dn == SENTINEL2_OFFSET_PB0400_DN):
            right = f"{plain}_pb0400" if has_offset else plain
            raise DataError(
                f"{self.name}: images.{role} is read as {sensor.name}, but the darkest percent of {len(known)} images has numbers about "
                f"{float(np.median(known)):.0f} ({chosen[0].paths[0]} ...), so they {'carry' if has_offset else 'do not carry'} the offset "
                f"of 1000: every reflectance would be wrong by 0.1. Name sensor='{right}' (of these bands there are also "
                f"{siblings(sensor, 'dn')}). The Zarr release has the offset, the shards have not."
            )


def find_tables(path: Path) -> list[Path]:
    """The table, or the tables of a folder, sorted by name.

    Raises:
        DataError: the folder holds no table, or tables of several kinds, which may be the same rows.
    """
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.iterdir() if each.suffix.lower() in TABLE_SUFFIXES)
    kinds = {each.suffix.lower() for each in found}
    if len(kinds) != 1:
        raise DataError(
            f"{path}: {len(found)} tables of {len(kinds)} kinds ({', '.join(sorted(kinds)) or 'none'}), expected tables of one kind. Name "
            "one of them, or a folder that holds one kind."
        )
    return found


def darkest_number(ref: ImageRef) -> float | None:
    """Darkest percentile of the darkest band, of numbers as stored; None where no pixel holds data."""
    image = ZarrImage(Path(ref.paths[0]), ref.item)
    pixels, _ = image.read((0, 0, *image.size))
    bands = [layer[layer != 0] for layer in pixels]
    return min((float(np.percentile(band, DARK_PERCENTILE)) for band in bands if band.size), default=None)


def _with_item(ref: ImageRef, sample: str, *, time: int) -> ImageRef:
    """The image inside its Zarr file or shard; an index names members of shards as "SHARD.tar/MEMBER"."""
    shard, inside, member = ref.paths[0].partition(f"{SHARD_SUFFIX}/")
    if inside:
        return replace(ref, paths=(f"{shard}{SHARD_SUFFIX}",), item=f"{member}/{time}")
    return replace(ref, item=f"{sample}/{time}")


def _sample_id(row: Entry) -> str:
    name = row.identifier("sample_id")
    return name.zfill(ID_DIGITS) if name.isdecimal() else name


def _time_id(row: Entry) -> int:
    text = row.identifier("time_id")
    if not text.isdecimal():
        raise AnnotationError(f"{row.source}: time_id must be a whole number from 0 on, found {text!r}. Correct the row.")
    return int(text)
