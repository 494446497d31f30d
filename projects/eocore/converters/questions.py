"""DIOR-RSVG and RSVQA as released -> JSON lines of the project's own form, one file a split, images linked beside them."""

from pathlib import Path
from typing import Any

from eocore.converters.referring import SPLITS, link_files
from eocore.data.records import Record
from eocore.errors import DataError
from eocore.evaluate.benchmarks.grounding import VocGroundingDataset
from eocore.evaluate.benchmarks.questions import pictures
from eocore.evaluate.benchmarks.vqa import RsvqaDataset
from eocore.files import require_writable
from eocore.synthetic.test_sets.images import save_lines


def prepare_dior_rsvg(source: Path, out: Path, *, copy: bool = False) -> dict[str, int]:
    """DIOR-RSVG: `<split>.jsonl` of {sample_id, image, phrase, boxes}, boxes 0 to 100. Returns the number of phrases by split.

    The lines of the split files are running numbers of objects; see `VocGroundingDataset`.

    Args:
        source: folder with Annotations/, JPEGImages/ and {train,val,test}.txt.
        out: folder to write to.
        copy: copy the images instead of linking them.

    Raises:
        DataError: no split file, or no image.
        AnnotationError: the annotations break their form.
        OutputError: `out` cannot be written to; this is found first.
    """
    require_writable(out, "the data set")
    counts = {}
    for split in SPLITS:
        if (source / f"{split}.txt").is_file():
            data = VocGroundingDataset(
                annotations=str(source / "Annotations"),
                images=pictures(str(source / "JPEGImages")),
                split=str(source / f"{split}.txt"),
                prompt="{phrase}",
            )
            save_lines(out / f"{split}.jsonl", (_box_entry(record) for record in data.records))
            counts[split] = len(data)
    if not counts:
        raise DataError(f"{source}: none of train.txt, val.txt, test.txt. Name the folder the release was unpacked to.")
    link_files(source / "JPEGImages", out / "images", copy=copy)
    return counts


def _box_entry(record: Record) -> dict[str, Any]:
    phrase = record.turns[0].words
    image = f"images/{record.meta['image']}"
    return {
        "sample_id": record.sample_id,
        "image": image,
        "phrase": phrase,
        "boxes": record.meta["boxes"],
        "box_scale": record.meta["box_scale"],
    }


def prepare_rsvqa(source: Path, out: Path, *, images: Path, prefix: str, copy: bool = False) -> dict[str, int]:
    """RSVQA: `<split>.jsonl` of {sample_id, image, question, answer, type}, without what was withdrawn. Returns the number by split.

    Args:
        source: folder of the annotation files.
        out: folder to write to.
        images: folder of <image id>.tif.
        prefix: of the files: "LR_split" (LR_split_test_questions.json) or "USGS_split" (USGS_split_test_phili_questions.json).
        copy: copy the images instead of linking them.

    Raises:
        DataError: no file of questions.
        AnnotationError: the files break their form.
        OutputError: `out` cannot be written to; this is found first.
    """
    require_writable(out, "the data set")
    counts = {}
    for path in sorted(source.glob(f"{prefix}_*_questions.json")):
        split = path.name.removeprefix(f"{prefix}_").removesuffix("_questions.json")
        data = RsvqaDataset(annotations=str(path), images=pictures(str(images), "{name}.tif"))
        save_lines(out / f"{split}.jsonl", (_question_entry(record) for record in data.records))
        counts[split] = len(data)
    if not counts:
        raise DataError(f"{source}: no file {prefix}_<split>_questions.json. Name the folder of the annotation files, and their prefix.")
    link_files(images, out / "images", copy=copy)
    return counts


def _question_entry(record: Record) -> dict[str, Any]:
    question = record.turns[0].words
    known = {"answer": record.meta["answer"], "type": record.meta["type"]}
    return {"sample_id": record.sample_id, "image": f"images/{record.meta['image']}.tif", "question": question, **known}
