"""Conversations about series of images: LLaVA entries that name their images themselves, each with its time, and masks on any of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import Entry, each, read_entries, segmentation_mask
from eocore.data.formats.images import read_image_refs
from eocore.data.formats.llava import messages_of
from eocore.data.records import ImageRef, MaskRef, Record
from eocore.errors import AnnotationError, ConfigError
from eocore.portable.messages import IMAGE_PLACEHOLDER, Turn, as_turns, with_images
from eocore.portable.sample_error import SampleError
from eocore.portable.series import check_order, group_moments, is_moment, sort_key
from eocore.registry import DATASETS

TASKS = ("vqa", "mcq", "caption", "chat", "referring", "region")
FIELDS = ("id", "image", "images", "conversations", "masks", "regions", "candidates", "answer")
"""Read by the parser; other plain fields become meta."""


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class SeriesDataset(RecordDataset):
    """Conversations about dated images of one place: {id, images, conversations, masks, regions}; docs/formats.md shows an entry.

    `images` is read by `formats.images.read_image_refs`: lists of images of a role, each with its `time`. `masks` are those of the [SEG] of
    the answers, `regions` those of the `<region>` of the questions, in order, each {"segmentation": polygons or RLE, "image": number of the
    date that it lies on, from 0}. `<image>` stands once for all images, and may be left out. Further plain fields become the record's meta.

    Args:
        annotations: JSON list, or JSON lines of the same objects.
        images: not used: entries name their files, relative to the folder of `annotations`.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.
        task: "vqa", "mcq", "caption", "chat", "referring" or "region".

    Raises:
        ConfigError: unknown task, or `images` is given.
        AnnotationError: an entry breaks the form, or its images have no times, or such as are equal or out of order.
    """

    images: dict[str, dict[str, object]] = None  # type: ignore[assignment]
    task: str = "vqa"

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ConfigError(f"SeriesDataset: task must be one of {', '.join(TASKS)}, found '{self.task}'.")
        if self.images:
            raise ConfigError(f"{self.name or self.annotations}: the entries of a SeriesDataset name their images; leave `images` out.")
        self.images, self.folder = {}, Path(self.annotations).parent
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        return each(read_entries(path), self._record)

    def image_root(self, ref: ImageRef) -> Path:
        return self.folder

    def _record(self, entry: Entry) -> Record:
        images = in_order(read_image_refs(entry, self.folder), source=entry.source)
        turns = read_conversation(entry)
        first_of = _first_images(images, source=entry.source)
        meta = entry.extras(*FIELDS) | {"answer": turns[-1].text}
        if "candidates" in entry.values:
            meta["candidates"] = tuple(str(text) for text in entry.items("candidates"))
        return Record(
            sample_id=entry.identifier("id"),
            images=images,
            turns=turns,
            masks=_masks(entry, "masks", first_of=first_of),
            regions=_masks(entry, "regions", first_of=first_of),
            task=self.task,
            source=entry.source,
            meta=meta,
        )


def in_order(refs: Sequence[ImageRef], *, source: str) -> tuple[ImageRef, ...]:
    """The images of a series sorted by their times, those of one time in the order of the entry.

    Raises:
        AnnotationError: an image has no time, or the images of one role are not in order.
    """
    try:
        for role in dict.fromkeys(ref.role for ref in refs):
            check_order([ref.time for ref in refs if ref.role == role], source=f"{source}, images of role {role}")
    except SampleError as error:
        raise AnnotationError(str(error)) from error
    if len(refs) > 1 and not all(is_moment(ref.time) for ref in refs):
        missing = next(ref for ref in refs if not is_moment(ref.time))
        raise AnnotationError(f"{source}: the {missing.role} image has no time; the images of a series are told apart by it. Add it.")
    return tuple(sorted(refs, key=lambda ref: sort_key(ref.time))) if len(refs) > 1 else tuple(refs)


def read_conversation(entry: Entry) -> tuple[Turn, ...]:
    """The turns of a LLaVA entry, with one image part for all images in front of the first question where none stands.

    Raises:
        AnnotationError: messages not in turn, no last answer, or `<image>` several times.
    """
    messages = messages_of(entry)
    count = sum(text.count(IMAGE_PLACEHOLDER) for role, text in messages if role == "user")
    if count > 1:
        raise AnnotationError(
            f"{entry.source}: {IMAGE_PLACEHOLDER} stands {count} times; in a series it stands once, for all images, which the prompt names "
            "one by one. Correct the text."
        )
    return with_images(as_turns(messages))


def _first_images(images: Sequence[ImageRef], *, source: str) -> list[int]:
    """Index of the first image of each moment, in order. Raises AnnotationError where two images of a role are of one moment."""
    try:
        moments = group_moments([(ref.role, ref.time, index) for index, ref in enumerate(images)], source=source)
    except SampleError as error:
        raise AnnotationError(str(error)) from error
    return [min(moment.images.values()) for moment in moments]


def _masks(entry: Entry, key: str, *, first_of: Sequence[int]) -> tuple[MaskRef, ...]:
    found = []
    for part in entry.entries(key) if key in entry.values else ():
        number = part.integer("image", minimum=0) if "image" in part.values else 0
        if number >= len(first_of):
            raise AnnotationError(
                f"{part.source}: image {number}, but the entry has images of {len(first_of)} dates, counted from 0. Correct the number."
            )
        mask = segmentation_mask(part.values.get("segmentation"), part.source)
        found.append(replace(mask, image=first_of[number]))
    return tuple(found)
