"""Releases as images/ and annotations.json (`eocore.data.formats.task_annotations`): classes, captions, questions, phrases with boxes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eocore.converters.referring import link_files
from eocore.data.formats.class_folders import ClassFolderDataset
from eocore.data.formats.entries import as_entries, read_object
from eocore.data.formats.task_annotations import (
    IMAGE_FOLDER,
    AnyAnnotation,
    CaptionAnnotation,
    ClassAnnotation,
    PhraseAnnotation,
    QuestionAnnotation,
    write_task_annotations,
)
from eocore.data.records import Record
from eocore.errors import ConfigError, DataError
from eocore.evaluate.benchmarks.caption import KarpathyCaptionDataset
from eocore.evaluate.benchmarks.grounding import VocGroundingDataset
from eocore.evaluate.benchmarks.questions import pictures
from eocore.evaluate.benchmarks.vqa import RsvqaDataset
from eocore.files import require_writable

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Prepared:
    """What a release holds: `folder` of the images, entries, and the classes where it has some."""

    folder: Path
    entries: Sequence[AnyAnnotation]
    classes: Sequence[str] = ()


def prepare_task_set(source: Path, out: Path, *, release: str, copy: bool = False) -> dict[str, int]:
    """Writes images/ and annotations.json of a release into `out`; returns the number of entries by split.

    Args:
        source: folder that the release was unpacked to, laid out as the reader of `RELEASES` says.
        out: folder to write to.
        release: one of `RELEASES`.
        copy: copy the images instead of linking them.

    Raises:
        ConfigError: an unknown release.
        DataError: a file or folder of the release is missing, or an image that an entry names.
        AnnotationError: the release breaks its form.
        OutputError: `out` cannot be written to; this is found first.
    """
    if release not in RELEASES:
        raise ConfigError(f"no release '{release}'. Choices: {', '.join(RELEASES)}. Others are unsupported: their layout is not known.")
    require_writable(out, "the data set")
    found = RELEASES[release](source)
    counts = write_task_annotations(out, found.entries, classes=found.classes)
    for folder in sorted({Path(item.image).parent for item in found.entries}):
        link_files(found.folder / folder, out / IMAGE_FOLDER / folder, copy=copy)
    return counts


def _ucm(source: Path) -> Prepared:
    """UC Merced: Images/<class>/<class><number>.tif; no split of its own."""
    data = ClassFolderDataset(annotations=str(source / "Images"), images={})
    entries = [ClassAnnotation(image=str(record.meta["image"]), label=record.labels[0]) for record in data.records]
    return Prepared(source / "Images", entries, data.class_names)


def _voc(source: Path, *, split_by: str) -> Prepared:
    """DIOR-RSVG and RSVG: Annotations/<name>.xml, JPEGImages/, {train,val,test}.txt; see `VocGroundingDataset`."""
    entries: list[AnyAnnotation] = []
    for split in _present(source, "{split}.txt"):
        data = VocGroundingDataset(
            annotations=str(source / "Annotations"),
            images=pictures(str(source / "JPEGImages")),
            split=str(source / f"{split}.txt"),
            split_by="object" if split_by == "object" else "file",
            prompt="{phrase}",
        )
        entries += [_phrase(record, split) for record in data.records]
    return Prepared(source / "JPEGImages", entries)


def _phrase(record: Record, split: str) -> PhraseAnnotation:
    (box,), scale = record.meta["boxes"], record.meta["box_scale"]
    height, width = record.meta["image_size"]
    x0, y0, x1, y1 = (round(value / scale, 6) for value in box)
    return PhraseAnnotation(
        image=str(record.meta["image"]), split=split, phrase=record.turns[0].words, box=(x0, y0, x1, y1), size=(height, width)
    )


def _rsvqa_lr(source: Path) -> Prepared:
    """RSVQA-LR: LR_split_{train,val,test}_{questions,answers}.json and Images_LR/<image id>.tif; what was withdrawn is left out."""
    entries: list[AnyAnnotation] = []
    for split in _present(source, "LR_split_{split}_questions.json"):
        path, images = source / f"LR_split_{split}_questions.json", pictures(str(source / "Images_LR"), "{name}.tif")
        entries += [_question(record, split) for record in RsvqaDataset(annotations=str(path), images=images).records]
    return Prepared(source / "Images_LR", entries)


def _question(record: Record, split: str) -> QuestionAnnotation:
    answer, kind = str(record.meta["answer"]), str(record.meta["type"])
    return QuestionAnnotation(image=f"{record.meta['image']}.tif", split=split, type=kind, question=record.turns[0].words, answer=answer)


def _rsitmd(source: Path) -> Prepared:
    """RSITMD: dataset_RSITMD.json in the Karpathy form, images/."""
    path = source / "dataset_RSITMD.json"
    listed = as_entries(read_object(path, "with 'images'").get("images"), f"{path} images")
    entries: list[AnyAnnotation] = []
    for split in dict.fromkeys(entry.text("split") for entry in listed):
        data = KarpathyCaptionDataset(annotations=str(path), images=pictures(str(source / "images")), split=split)
        entries += [_captions(record, split) for record in data.records]
    return Prepared(source / "images", entries)


def _captions(record: Record, split: str) -> CaptionAnnotation:
    return CaptionAnnotation(image=str(record.meta["image"]), split=split, captions=list(record.meta["references"]))


def _rsicap(source: Path) -> Prepared:
    """RSICap: captions.json, {annotations: [{filename, text_output}]}, images/; no split of its own."""
    path = source / "captions.json"
    listed = as_entries(read_object(path, "with 'annotations'").get("annotations"), f"{path} annotations")
    entries = []
    for entry in listed:
        image = entry.file_name("filename")
        if not (source / "images" / image).is_file():
            raise DataError(f"{entry.source}: no image {source / 'images' / image}. Fetch the release again, or take the entry out.")
        entries.append(CaptionAnnotation(image=image, captions=[entry.text("text_output").strip()]))
    return Prepared(source / "images", entries)


def _present(source: Path, pattern: str) -> list[str]:
    """The splits whose file is there."""
    found = [split for split in SPLITS if (source / pattern.format(split=split)).is_file()]
    if not found:
        raise DataError(f"{source}: none of {', '.join(pattern.format(split=split) for split in SPLITS)}. Name the release's folder.")
    return found


RELEASES: dict[str, Callable[[Path], Prepared]] = {
    "UCM": _ucm,
    "RSVG": lambda source: _voc(source, split_by="file"),
    "DIOR-RSVG": lambda source: _voc(source, split_by="object"),
    "RSICap": _rsicap,
    "RSVQA-LR": _rsvqa_lr,
    "RSITMD": _rsitmd,
}
"""How each release is read. Sources of the layouts: weegee.vision.ucmerced.edu (UCM); github.com/ZhanYang-nwpu/RSVG-pytorch (DIOR-RSVG);
the benchmark `rsvg` (RSVG); github.com/Lavender105/RSGPT as several public readers open it (RSICap); Zenodo 6344334 (RSVQA-LR);
github.com/xiaoyuan1996/AMFMN (RSITMD)."""
