"""Region captions: the Osprey form (train) and the COCO form of RSVG (test)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import Entry, as_entries, each, read_entries, read_object, segmentation_mask, shorten
from eocore.data.records import MaskRef, Record
from eocore.errors import AnnotationError, ConfigError
from eocore.portable.messages import (
    IMAGE_PLACEHOLDER,
    REGION_INTRODUCTION,
    REGION_PLACEHOLDER,
    Text,
    Turn,
    about_images,
    introduced_regions,
)
from eocore.registry import DATASETS

QUESTION = "Please give me a short description of the region in the picture marked by region{number}."
"""The upstream question. Source: EarthMind v1, rs_region_cap.py."""


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class OspreyRegionDataset(RecordDataset):
    """A list of {file_name, height, width, description: [texts], annotation: [{segmentation}]}, the two lists in the same order.

    Meta holds `image` (the file name), `answer` (the last description), `image_size` [height, width] and the plain further fields.

    Args:
        annotations: the JSON file.
        images: role -> image source; `{name}` is the file name.
        group: "region" = one record for each region (evaluation), "image" = one conversation about all regions of an image (training).
        introduction: put before the first question; `{regions}` becomes "region1<region>, region2<region>, ...", `{count}` their number.
        question: asked about each region; `{number}` is its number in the conversation.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        ConfigError: unknown group, or a text without its placeholder.
        AnnotationError: an entry breaks the form.
    """

    group: Literal["region", "image"] = "region"
    introduction: str = REGION_INTRODUCTION
    question: str = QUESTION

    def __post_init__(self) -> None:
        if self.group not in ("region", "image"):
            raise ConfigError(f"OspreyRegionDataset: group must be 'region' or 'image', found '{self.group}'.")
        _check_texts(self.introduction, self.question)
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        groups = each(enumerate(read_entries(path)), lambda item: self._records(item[1], f"{path.stem}-{item[0]}"))
        return [record for group in groups for record in group]

    def _records(self, entry: Entry, numbered: str) -> list[Record]:
        descriptions, annotations = entry.items("description"), entry.entries("annotation")
        if len(descriptions) != len(annotations):
            raise AnnotationError(
                f"{entry.source}: {len(descriptions)} descriptions but {len(annotations)} annotations; which region each describes cannot "
                "be told. Correct the entry."
            )
        if not all(isinstance(text, str) and text.strip() for text in descriptions):
            raise AnnotationError(f"{entry.source}: field 'description' must be a list of texts, found {shorten(descriptions)}.")
        masks = [segmentation_mask(region.values.get("segmentation"), region.source) for region in annotations]
        pairs = list(zip(descriptions, masks, strict=True))
        name = entry.file_name("file_name")
        images = self.locate_images(name, entry.source)
        meta = entry.extras("file_name", "height", "width") | {"image": name, "image_size": image_size(entry)}
        groups = [pairs] if self.group == "image" else [[pair] for pair in pairs]
        return [
            Record(
                sample_id=numbered if self.group == "image" else f"{numbered}-{number}",
                images=images,
                turns=region_turns([text for text, _ in group], introduction=self.introduction, question=self.question),
                regions=tuple(mask for _, mask in group),
                task="region",
                source=entry.source if self.group == "image" else annotations[number].source,
                meta={**meta, "answer": group[-1][0]},
            )
            for number, group in enumerate(groups)
        ]


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class CocoRegionDataset(RecordDataset):
    """{images: [{id, file_name, height, width, caption}], annotations: [{id, image_id, segmentation}]}, one record for each annotation.

    The caption is the annotation's own where it has one, else the image's. Meta as OspreyRegionDataset.

    Args:
        annotations: the JSON file (rsvg_test.json).
        images: role -> image source; `{name}` is the file name.
        introduction: as OspreyRegionDataset.
        question: asked about the region; `{number}` is 1.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        ConfigError: a text without its placeholder.
        AnnotationError: an entry breaks the form, or one image's caption stands for several regions.
    """

    introduction: str = REGION_INTRODUCTION
    question: str = QUESTION

    def __post_init__(self) -> None:
        _check_texts(self.introduction, self.question)
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        content = read_object(path, "with images and annotations")
        images = {entry.integer("id"): entry for entry in as_entries(content.get("images"), f"{path} images")}
        captioned: dict[int, str] = {}
        regions = as_entries(content.get("annotations"), f"{path} annotations")
        return each(regions, lambda region: self._record(_image_of(region, images, captioned=captioned), region))

    def _record(self, image: Entry, region: Entry) -> Record:
        caption = (region if "caption" in region.values else image).text("caption")
        name = image.file_name("file_name")
        mask: MaskRef = segmentation_mask(region.values.get("segmentation"), region.source)
        return Record(
            sample_id=region.identifier("id"),
            images=self.locate_images(name, region.source),
            turns=region_turns([caption], introduction=self.introduction, question=self.question),
            regions=(mask,),
            task="region",
            source=region.source,
            meta={"image": name, "image_size": image_size(image), "answer": caption},
        )


def region_turns(descriptions: Sequence[str], *, introduction: str, question: str) -> tuple[Turn, ...]:
    """A conversation that introduces all regions, then asks about each in turn; every region has its `<region>` once, in order."""
    regions = introduced_regions(len(descriptions), introduction=introduction)
    turns: list[Turn] = []
    for number, description in enumerate(descriptions, start=1):
        asked = question.replace("{number}", str(number))
        opening = about_images(*regions, Text(f"\n{asked}"))
        turns += [Turn("user", (Text(asked),) if turns else opening), Turn("assistant", (Text(description),))]
    return tuple(turns)


def image_size(entry: Entry) -> list[int]:
    """[height, width] [px] the entry gives."""
    return [entry.integer("height", minimum=1), entry.integer("width", minimum=1)]


def _image_of(region: Entry, images: Mapping[int, Entry], *, captioned: dict[int, str]) -> Entry:
    image = images.get(region.integer("image_id"))
    if image is None:
        raise AnnotationError(f"{region.source}: image_id {region.integer('image_id')} is not among the images of the file.")
    if "caption" not in region.values:
        _claim(captioned, image, region=region)
    return image


def _claim(captioned: dict[int, str], image: Entry, *, region: Entry) -> None:
    number = image.integer("id")
    if number in captioned:
        raise AnnotationError(
            f"{region.source}: image {number} has one caption but {captioned[number]} is another region of it; which one it describes "
            "cannot be told. Give each annotation its own 'caption'."
        )
    captioned[number] = region.source


def _check_texts(introduction: str, question: str) -> None:
    for argument, text, placeholder in (("introduction", introduction, "{regions}"), ("question", question, "{number}")):
        if text.count(placeholder) != 1 or IMAGE_PLACEHOLDER in text or REGION_PLACEHOLDER in text:
            raise ConfigError(
                f"region dataset: {argument} must hold {placeholder} once, and neither {IMAGE_PLACEHOLDER} nor "
                f"{REGION_PLACEHOLDER}; found {text!r}."
            )
