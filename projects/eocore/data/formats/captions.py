"""Images with captions: CSV or JSON (lines) of an image field and one or several texts."""

from dataclasses import dataclass
from pathlib import Path

from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import Entry, each, shorten
from eocore.data.formats.tables import DELIMITERS, read_table
from eocore.data.records import Record
from eocore.errors import AnnotationError, ConfigError
from eocore.registry import DATASETS

CAPTION, RETRIEVAL = "caption", "retrieval"
"""What images with texts are evaluated on."""
ONE_CAPTION_A_ROW = (*DELIMITERS, ".parquet")


def check_task(task: str, name: str) -> None:
    """Raise ConfigError if `task` is not one that images with texts are evaluated on; `name` is that of the data set's class."""
    if task not in (CAPTION, RETRIEVAL):
        raise ConfigError(f"{name}: task must be '{CAPTION}' or '{RETRIEVAL}', found {task!r}.")


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class ImageCaptionDataset(RecordDataset):
    """Records of an image and what is said of it, without questions.

    JSON: a list of objects, or one a line, with an image field and a caption field that holds a text or a list of texts. CSV, TSV and
    Parquet: a row for each image and caption; rows of one image are one record. An entry's `window`, [row, col, height, width] [px], makes
    that part of the image's files the image (JSON only). Meta holds `image` and the plain further fields.

    Args:
        annotations: .csv, .tsv, .json, .jsonl or .parquet.
        images: role -> image source; `{name}` is the image field.
        image_field: field or column of the image's name.
        caption_field: field or column of the caption or captions.
        label_field: field or column of class names, a text or (JSON only) a list of texts; "" = none.
        task: "caption": the model says what it sees; "retrieval": texts seek images, and images texts, in the gallery of all.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.
        estimate: see `RecordDataset`.

    Raises:
        ConfigError: a field has no name, or another task.
        DataError: the file is missing or cannot be read.
        AnnotationError: an entry breaks the form, or a column is missing.
    """

    image_field: str = "image"
    caption_field: str = "caption"
    label_field: str = ""
    task: str = CAPTION

    def __post_init__(self) -> None:
        check_task(self.task, type(self).__name__)
        if not self.image_field or not self.caption_field:
            raise ConfigError("ImageCaptionDataset: image_field and caption_field must name fields of the file, found an empty one.")
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        records = each(enumerate(read_table(path)), lambda item: self._record(item[1], f"{path.stem}-{item[0]}"))
        return by_image(records) if path.suffix.lower() in ONE_CAPTION_A_ROW else records

    def _record(self, entry: Entry, numbered: str) -> Record:
        image = entry.file_name(self.image_field)
        known = (self.image_field, self.caption_field, self.label_field, "window")
        return Record(
            sample_id=numbered,
            images=self.locate_images(image, entry.source, window=entry.window()),
            task=self.task,
            source=entry.source,
            meta={"image": image, **entry.extras(*known)},
            captions=read_texts(entry, self.caption_field),
            labels=read_texts(entry, self.label_field) if self.label_field else (),
        )


def read_texts(entry: Entry, key: str) -> tuple[str, ...]:
    """The text or texts under `key`, without white space around them.

    Raises:
        AnnotationError: there is none, or something else than texts.
    """
    if not isinstance(entry.values.get(key), list | tuple):
        return (entry.text(key).strip(),)
    values = entry.items(key)
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise AnnotationError(f"{entry.source}: field '{key}' must be a text or a list of texts, found {shorten(values)}.")
    return tuple(value.strip() for value in values)


def by_image(records: list[Record]) -> list[Record]:
    """One record for each image, with the captions and labels of all its lines, in the order of first sight."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(str(record.meta["image"]), []).append(record)
    return [_merged(group) for group in groups.values()]


def _merged(group: list[Record]) -> Record:
    first = group[0]
    return Record(
        sample_id=first.sample_id,
        images=first.images,
        task=first.task,
        source=first.source,
        meta={key: value for key, value in first.meta.items() if all(other.meta.get(key) == value for other in group)},
        captions=tuple(text for record in group for text in record.captions),
        labels=tuple(dict.fromkeys(label for record in group for label in record.labels)),
    )
