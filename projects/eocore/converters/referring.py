"""Referring sets as released -> the REFER form that is read: refs(unc).p, instances.json, images/."""

import os
import pickle
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eocore.data.formats.entries import as_entries, read_json
from eocore.data.io.masks import encode_rle, mask_to_box
from eocore.data.io.readers import image_size, read_class_map
from eocore.data.io.safe_pickle import read_plain_pickle
from eocore.data.records import ImageRef
from eocore.errors import AnnotationError, DataError
from eocore.files import require_writable, write_file
from eocore.synthetic.annotation_files import PICKLE_PROTOCOL, REFER_FILE
from eocore.synthetic.test_sets.images import save_json

SPLITS = ("train", "val", "test")
_LINE = re.compile(r"(\S+)\s+(.*\S)\s*")
_SHOWN = 5

OnDone = Callable[[], None]


def prepare_rrsisd(source: Path, out: Path, *, copy: bool = False) -> dict[str, int]:
    """RRSIS-D: the two annotation files beside its images, which are linked (or copied). Returns the number of refs by split.

    Args:
        source: folder with rrsisd/{refs(unc).p,instances.json} and images/rrsisd/JPEGImages.
        out: folder to write to.
        copy: copy the images instead of linking their folder.

    Raises:
        DataError: a file of the release is missing, or an image that a ref names.
        AnnotationError: the annotations break their form.
        OutputError: `out` cannot be written to; this is found first.
    """
    require_writable(out, "the data set")
    annotations, images = source / "rrsisd", source / "images" / "rrsisd" / "JPEGImages"
    if not images.is_dir():
        raise DataError(f"{images}: no such folder. Expected the release: rrsisd/ and images/rrsisd/JPEGImages/ under {source}.")
    refs = as_entries(read_plain_pickle(annotations / REFER_FILE), str(annotations / REFER_FILE))
    listed = as_entries(read_json(annotations / "instances.json").get("images"), "instances.json images")
    absent = [entry.text("file_name") for entry in listed if not (images / entry.text("file_name")).is_file()]
    if absent:
        raise DataError(f"{images}: {len(absent)} of {len(listed)} images are missing ({', '.join(absent[:_SHOWN])}). Fetch them again.")
    out.mkdir(parents=True, exist_ok=True)
    for name in (REFER_FILE, "instances.json"):
        shutil.copyfile(annotations / name, out / name)
    link_folder(images, out / "images", copy=copy)
    return {split: sum(ref.text("split") == split for ref in refs) for split in sorted({ref.text("split") for ref in refs})}


@dataclass(frozen=True, kw_only=True)
class PhraseRelease:
    """RefSegRS and RISBench: `output_phrase_<split>.txt` with lines "<id> <expression>", an image and a mask (> 0) for each id.

    Attributes:
        source: folder of the release.
        images, masks: names of the folders in it.
        splits: to take.
    """

    source: Path
    images: str
    masks: str
    splits: Sequence[str] = SPLITS

    def lines(self, split: str) -> Iterator[tuple[str, str, str]]:
        """(file and line, id, expression) of each phrase of a split.

        Raises:
            DataError: there is no such file.
            AnnotationError: a line has another form.
        """
        return _phrases(self.source / f"output_phrase_{split}.txt")


def prepare_phrases(release: PhraseRelease, out: Path, *, copy: bool = False, on_phrase: OnDone = lambda: None) -> dict[str, int]:
    """The release in the form that is read.

    Args:
        release: where it lies.
        out: folder to write to.
        copy: copy the images instead of linking their folder.
        on_phrase: called after each line.

    Returns:
        Number of phrases by split.

    Raises:
        DataError: a file is missing, or a mask has another size than its image.
        AnnotationError: a line has another form, or no pixel to point at.
        OutputError: `out` cannot be written to; this is found first.
    """
    require_writable(out, "the data set")
    folders = {"images": release.source / release.images, "masks": release.source / release.masks}
    names = {kind: _by_stem(folder) for kind, folder in folders.items()}
    table: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "object"}]}
    refs: list[dict[str, Any]] = []
    image_ids: dict[str, int] = {}
    counts = dict.fromkeys(release.splits, 0)
    for split in release.splits:
        for where, key, text in release.lines(split):
            image, mask = (_file_of(key, names[kind], where=where, folder=folder) for kind, folder in folders.items())
            if image.name not in image_ids:
                image_ids[image.name] = len(image_ids) + 1
                height, width = image_size(ImageRef("rgb", "rgb_uint8", (str(image),)))
                table["images"].append({"id": image_ids[image.name], "file_name": image.name, "height": height, "width": width})
            number, image_id = len(refs) + 1, image_ids[image.name]
            table["annotations"].append(_annotation(mask, number, image=table["images"][image_id - 1], where=where))
            refs.append(_ref(number, image_id, file_name=image.name, split=split, text=text))
            counts[split] += 1
            on_phrase()
    write_file(out / REFER_FILE, pickle.dumps(refs, protocol=PICKLE_PROTOCOL))
    save_json(out / "instances.json", table)
    link_folder(folders["images"], out / "images", copy=copy)
    return counts


def count_phrases(release: PhraseRelease) -> int:
    """Lines that `prepare_phrases` will read; for a progress display."""
    return sum(len(list(release.lines(split))) for split in release.splits)


def link_folder(folder: Path, shown_at: Path, *, copy: bool) -> None:
    """`shown_at` shows what is in `folder`: a link, or a copy.

    Raises:
        DataError: something else is there.
    """
    if copy:
        shutil.copytree(folder, shown_at, dirs_exist_ok=True)
        return
    if shown_at.is_symlink() and shown_at.resolve() == folder.resolve():
        return
    if shown_at.exists() or shown_at.is_symlink():
        raise DataError(f"{shown_at} is there already and is no link to {folder}. Remove it, or write to another folder.")
    shown_at.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(folder.resolve(), shown_at)


def link_files(folder: Path, shown_at: Path, *, copy: bool) -> None:
    """`shown_at` gets every file of `folder`: a hard link, which takes no room, or a copy where that is asked for or a link cannot be made.

    Files of one's own must lie inside the folder of their JSON lines, which a link to another folder would lead out of.
    """
    shown_at.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        target = shown_at / path.name
        if not path.is_file() or target.exists():
            continue
        try:
            if copy:
                raise OSError("asked to copy")
            os.link(path, target)
        except OSError:
            shutil.copyfile(path, target)


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; the release has it. Name the folder the release was unpacked to.")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.is_file()}


def _phrases(path: Path) -> Iterator[tuple[str, str, str]]:
    """(file:line, id, expression) of every line that is not empty."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; the release has one for each split. Name the folder the release was unpacked to.")
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise AnnotationError(f"{path}:{number}: {line!r:.60}; expected '<id> <expression>'. Correct the line.")
        yield f"{path}:{number}", found[1], found[2]


def _file_of(key: str, files: dict[str, Path], *, where: str, folder: Path) -> Path:
    stem = Path(key).stem if key not in files else key
    if stem not in files:
        raise DataError(f"{where}: {folder} has no file called {key}. Fetch the release again, or correct the line.")
    return files[stem]


def _annotation(path: Path, number: int, *, image: dict[str, Any], where: str) -> dict[str, Any]:
    mask = read_class_map(str(path)) > 0
    if mask.shape != (image["height"], image["width"]):
        raise DataError(f"{where}: mask {path.name} is {mask.shape} px, its image {image['height'], image['width']}. Fetch the two again.")
    box = mask_to_box(mask)
    if box is None:
        raise AnnotationError(f"{where}: mask {path.name} is empty, the phrase points at nothing. Correct the mask or leave the line out.")
    left, top, right, bottom = box
    values = {"segmentation": encode_rle(mask), "bbox": [left, top, right - left, bottom - top], "area": int(mask.sum())}
    return {"id": number, "image_id": image["id"], "category_id": 1, "iscrowd": 0, **values}


def _ref(number: int, image_id: int, *, file_name: str, split: str, text: str) -> dict[str, Any]:
    sentence = {"sent_id": number, "sent": text, "raw": text, "tokens": text.split()}
    keys = {"ref_id": number, "ann_id": number, "image_id": image_id, "category_id": 1, "split": split, "file_name": file_name}
    return {**keys, "sent_ids": [number], "sentences": [sentence]}
