"""Referring segmentation: the REFER form (`refs(unc).p` with `instances.json`) and a JSON (lines) form of our own."""

import codecs
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import Entry, as_entries, each, read_entries, read_object, segmentation_mask, shorten, unreadable
from eocore.data.image_sources import file_inside
from eocore.data.io.masks import decode_mask, encode_rle
from eocore.data.io.safe_pickle import read_plain_pickle
from eocore.data.records import Expression, MaskRef, Record
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.registry import DATASETS

NO_TARGET = -1
"""The annotation id of a phrase without a target in the image, as gRefCOCO writes it."""

EXPRESSION_FIELDS = ("sample_id", "image", "height", "width", "expression", "mask", "place")
"""What our own form reads itself; further plain fields go into the meta."""

Grouping = Literal["image", "expression"]


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class ReferDataset(RecordDataset):
    """The published form of RefSegRS, RRSIS-D, RISBench and the SAR set.

    The refs are a pickle, which is read without running anything in it, or the same list as JSON. Meta holds `image` (the file name),
    `image_size` [height, width] and the refs' plain further fields (for grouped records those on which all refs agree). The phrase is kept
    as written; ComposeReferring makes turns of it.

    Args:
        annotations: `refs(unc).p`, or the same list as JSON.
        images: role -> image source; `{name}` is the file name in instances.json.
        instances: `instances.json`; "" = beside the refs.
        split: the split to take; None = all.
        group: "expression" = one record for each phrase (evaluation), "image" = all phrases of an image in one (training).
        text_field: "raw" or "sent".
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        ConfigError: unknown group or text field.
        AnnotationError: the files break the form or refer to what is not there.
    """

    uncompared: ClassVar[Mapping[str, str]] = {
        **RecordDataset.uncompared,
        "instances": "the content of the file is compared, not where it lies",
    }

    instances: str = ""
    split: str | None = None
    group: Grouping = "expression"
    text_field: Literal["raw", "sent"] = "raw"

    def __post_init__(self) -> None:
        _check_choice("group", self.group, choices=("image", "expression"))
        _check_choice("text_field", self.text_field, choices=("raw", "sent"))
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        instances = Path(self.instances) if self.instances else path.with_name("instances.json")
        self.annotation_files.append(instances)
        table = InstanceTable(instances)
        refs = read_refs(path)
        splits = each(refs, lambda ref: (ref.text("split"), ref))
        found = sorted({split for split, _ in splits})
        chosen = [ref for split, ref in splits if self.split is None or split == self.split]
        if not chosen:
            raise DataError(f"{path}: no ref of split '{self.split}'; it has {', '.join(found) or 'no refs'}. Correct `split`.")
        records = [record for group in each(chosen, lambda ref: self._records(ref, table)) for record in group]
        return group_by_image(records) if self.group == "image" else records

    def _records(self, ref: Entry, table: "InstanceTable") -> list[Record]:
        image = table.image(ref.integer("image_id"), ref.source)
        mask = table.mask(ref)
        file_name = image.file_name("file_name")
        meta = ref.extras("ref_id", "ann_id", "image_id", "category_id", "split", "file_name") | {"image_size": table.size(image)}
        refs = self.locate_images(file_name, ref.source)
        return [
            Record(
                sample_id=f"{ref.identifier('ref_id')}-{sentence.identifier('sent_id')}",
                images=refs,
                expressions=(Expression(sentence.text(self.text_field), mask),),
                task="referring",
                source=sentence.source,
                meta={"image": file_name, **meta},
            )
            for sentence in ref.entries("sentences")
        ]


def read_refs(path: Path) -> list[Entry]:
    """The refs of a pickle, or of JSON that holds the same list; which of them it is, its first bytes say.

    Raises:
        DataError: the file is missing, or cannot be read.
        AnnotationError: it is neither, or holds something else than refs.
    """
    if path.suffix == ".jsonl" or (path.is_file() and _begins_as_json(path)):
        return read_entries(path)
    return as_entries(read_plain_pickle(path), str(path))


def _begins_as_json(path: Path) -> bool:
    """Whether the first sign of a file is that of a JSON list or object; pickles of a list begin with another (PROTO, `(` or `]`)."""
    try:
        with path.open("rb") as file:
            return file.read(64).removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"[", b"{")
    except OSError as error:
        raise unreadable(path, error) from error


class InstanceTable:
    """`instances.json` by image and annotation id.

    Raises:
        AnnotationError: no such lists, or an id twice.
    """

    def __init__(self, path: Path) -> None:
        content = read_object(path, "with images and annotations")
        self.path = path
        self.images = _by_id(as_entries(content.get("images"), f"{path} images"))
        self.annotations = _by_id(as_entries(content.get("annotations"), f"{path} annotations"))

    def image(self, image_id: int, source: str) -> Entry:
        """The image of that id."""
        if image_id not in self.images:
            raise AnnotationError(f"{source}: image_id {image_id} is not in {self.path}; the two files are of different releases.")
        return self.images[image_id]

    def size(self, image: Entry) -> list[int]:
        """[height, width] [px] of an image entry."""
        return [image.integer("height", minimum=1), image.integer("width", minimum=1)]

    def mask(self, ref: Entry) -> MaskRef | None:
        """The mask a ref points at, all its annotations together; None where it has no target."""
        ids = ref.values.get("ann_id")
        numbers = list(ids) if isinstance(ids, list | tuple) else [ids]
        wanted = [number for number in numbers if isinstance(number, int) and number != NO_TARGET]
        if len(wanted) + numbers.count(NO_TARGET) < len(numbers):
            raise AnnotationError(f"{ref.source}: field 'ann_id' must be a whole number or a list of them, found {shorten(ids)}.")
        if not wanted:
            return None
        image_id = ref.integer("image_id")
        masks = [self._annotated(number, image_id, source=ref.source) for number in wanted]
        return merge_masks(masks, size=self.size(self.image(image_id, ref.source)), source=ref.source)

    def _annotated(self, number: int, image_id: int, *, source: str) -> MaskRef:
        if number not in self.annotations:
            raise AnnotationError(f"{source}: ann_id {number} is not in {self.path}; the two files are of different releases.")
        entry = self.annotations[number]
        if entry.integer("image_id") != image_id:
            raise AnnotationError(f"{source}: ann_id {number} belongs to image {entry.integer('image_id')}, the ref to image {image_id}.")
        return segmentation_mask(entry.values.get("segmentation"), entry.source)


def _by_id(entries: Iterable[Entry]) -> dict[int, Entry]:
    table: dict[int, Entry] = {}
    for entry in entries:
        number = entry.integer("id")
        if number in table:
            raise AnnotationError(f"{entry.source}: id {number} is taken by {table[number].source}; which one is meant cannot be told.")
        table[number] = entry
    return table


def merge_masks(masks: Sequence[MaskRef], *, size: Sequence[int], source: str) -> MaskRef:
    """One mask that covers what any of `masks` covers on an image of `size` [height, width] [px]."""
    if len(masks) == 1:
        return masks[0]
    if all(mask.kind == "polygon" for mask in masks):
        return MaskRef("polygon", [ring for mask in masks for ring in mask.data], source)
    height, width = size
    drawn = [decode_mask(mask, (height, width), source=source, root=None) for mask in masks]
    return MaskRef("rle", encode_rle(np.logical_or.reduce(drawn)), source)


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class ReferringJsonlDataset(RecordDataset):
    """Our own form: JSON lines (or a JSON list) of {sample_id, image, height, width, expression, mask}.

    `mask` is a COCO RLE, a list of polygon rings, {"box": [x0, y0, x1, y1]}, {"path": file below the annotations' folder, "value": class
    number or nothing}, or null for a phrase without a target. `place` may say in words where the target lies. `window`, [row, col, height,
    width] [px], makes that part of the image's files the image, of which height, width and mask then tell; nothing else of them is read.
    Meta holds `image`, `image_size` and the plain further fields.

    Args:
        annotations: the file.
        images: role -> image source.
        group: "expression" = one record for each phrase (evaluation), "image" = all phrases of an image in one (training).
        task: what evaluation scores: masks ("referring"), or boxes ("grounding", with the transform ComposeGrounding).
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        ConfigError: unknown group or task.
        AnnotationError: an entry breaks the form.
    """

    group: Grouping = "expression"
    task: Literal["referring", "grounding"] = "referring"

    def __post_init__(self) -> None:
        _check_choice("group", self.group, choices=("image", "expression"))
        _check_choice("task", self.task, choices=("referring", "grounding"))
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        records = each(read_entries(path), lambda entry: self._record(entry, path.parent))
        return group_by_image(records) if self.group == "image" else records

    def _record(self, entry: Entry, folder: Path) -> Record:
        image = entry.file_name("image")
        size, window = [entry.integer("height", minimum=1), entry.integer("width", minimum=1)], entry.window()
        if window is not None and list(window[2:]) != size:
            raise AnnotationError(
                f"{entry.source}: the window is {window[2]} x {window[3]} px, but height and width are {size[0]} and {size[1]}; with a "
                "window these are its own, and the mask lies in it. Correct the entry."
            )
        return Record(
            sample_id=entry.identifier("sample_id"),
            images=self.locate_images(image, entry.source, window=window),
            expressions=(_expression(entry, folder),),
            task=self.task,
            source=entry.source,
            meta={"image": image, **entry.extras(*EXPRESSION_FIELDS), "image_size": size},
        )


def _expression(entry: Entry, folder: Path) -> Expression:
    place = entry.text("place") if "place" in entry.values else ""
    return Expression(entry.text("expression"), jsonl_mask(entry, folder), place)


def jsonl_mask(entry: Entry, folder: Path) -> MaskRef | None:
    """The mask of an entry of our own form; file paths are made absolute.

    Raises:
        AnnotationError: the field is missing or none of the forms, or a path leaves `folder`.
    """
    if "mask" not in entry.values:
        raise AnnotationError(f"{entry.source}: no field 'mask'; write null for a phrase without a target.")
    mask = entry.values["mask"]
    if mask is None:
        return None
    if isinstance(mask, Mapping) and "box" in mask:
        return MaskRef("box", mask["box"], entry.source)
    if isinstance(mask, Mapping) and "path" in mask:
        path = Entry(mask, f"{entry.source} mask").file_name("path")
        return MaskRef("file", {"path": file_inside(folder, path, source=entry.source), "value": mask.get("value")}, entry.source)
    return segmentation_mask(mask, entry.source)


def group_by_image(records: Sequence[Record]) -> list[Record]:
    """One record for each image with all its expressions, in the order of first sight; plain meta on which all agree is kept.

    Raises:
        AnnotationError: records of one image give it different sizes.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(json.dumps([(ref.label, ref.paths, ref.window) for ref in record.images]), []).append(record)
    grouped = []
    for group in groups.values():
        first = group[0]
        for other in group[1:]:
            if other.meta["image_size"] != first.meta["image_size"]:
                raise AnnotationError(
                    f"{other.source}: image '{first.meta['image']}' is {other.meta['image_size']} here but {first.meta['image_size']} in "
                    f"{first.source} [height, width]; masks would not fit. Correct the entry."
                )
        grouped.append(
            Record(
                sample_id=_image_id(first),
                images=first.images,
                expressions=tuple(expression for record in group for expression in record.expressions),
                task=first.task,
                source=first.source,
                meta={key: value for key, value in first.meta.items() if all(other.meta.get(key) == value for other in group)},
            )
        )
    return grouped


def _image_id(record: Record) -> str:
    """The image's name, with the part of it that is meant."""
    window = next((ref.window for ref in record.images), None)
    return str(record.meta["image"]) + ("" if window is None else "@" + ",".join(map(str, window)))


def _check_choice(argument: str, value: str, *, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(f"referring dataset: {argument} must be one of {', '.join(choices)}, found '{value}'.")
