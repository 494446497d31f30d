"""Visual grounding by boxes: VRSBench, GeoChat, DIOR-RSVG and RSVG."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from eocore.data.formats.entries import Entry, read_entries
from eocore.data.records import Record
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.evaluate.benchmarks.boxes import SCALE, read_boxes
from eocore.evaluate.benchmarks.catalogue import Benchmark, register
from eocore.evaluate.benchmarks.questions import GEOCHAT_PICTURES, RGB, Question, QuestionDataset, picture_dataset
from eocore.evaluate.metrics.boxes import box_text
from eocore.registry import DATASETS

REFER = "[refer] Give me the location of <p> {phrase} </p>"
"""Source: GeoChat."""
GROUPS = ("unique", "size_group", "obj_cls")
"""Fields by which scores are given again."""
SEGMENT = "Please segment {phrase} in this image."
"""Source: EarthMind v1, refrs_eval.py."""


class BoxDataset(QuestionDataset):
    """Questions that boxes answer."""

    def locate(self, question: Question, boxes: Sequence[Sequence[float]], *, task: str = "grounding") -> Record:
        """The record of a phrase with its boxes, on a scale of 0 to 100."""
        meta = {"boxes": [list(box) for box in boxes], "box_scale": SCALE, **question.meta}
        return self.ask(replace(question, answer="".join(map(box_text, boxes)), meta=meta), task=task)


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class BoxQuestionDataset(BoxDataset):
    """VRSBench_EVAL_referring.json and GeoChat-Bench referring.jsonl: {image_id, question, ground_truth, question_id, type, ...}.

    Ground truth: "{<x0><y0><x1><y1>}" (VRSBench) or corners (GeoChat), 0 to 100. Meta holds `unique` (VRSBench) and `size_group`.

    Args:
        annotations: the JSON list or JSON lines.
        images: modality -> image source; `{name}` is the image id.
        task: "grounding" or "detection".
        prompt: `{question}` and `{phrase}` stand for the question.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        AnnotationError: an entry breaks the form.
    """

    task: Literal["grounding", "detection"] = "grounding"

    def parse(self, path: Path) -> list[Record]:
        return [self._record(number, entry) for number, entry in enumerate(read_entries(path))]

    def _record(self, number: int, entry: Entry) -> Record:
        meta = {key: entry.values[key] for key in GROUPS if key in entry.values}
        question = Question(
            sample_id=f"{number}-{entry.identifier('question_id')}",
            image=entry.identifier("image_id"),
            source=entry.source,
            text=entry.text("question"),
            meta=meta,
        )
        return self.locate(question, read_boxes(entry.values.get("ground_truth"), entry.source), task=self.task)


@dataclass(frozen=True)
class _Object:
    """An object of a VOC file, with the number it has among all objects of the folder."""

    number: int
    path: Path
    image: str
    size: tuple[int, int]
    phrase: str
    box: list[float]


@DATASETS.register_module()
@dataclass(kw_only=True, eq=False, repr=False)
class VocGroundingDataset(BoxDataset):
    """DIOR-RSVG and RSVG: a VOC file an image, each `object` with a `description`; boxes in pixels.

    The lines of DIOR-RSVG's split files are running numbers of objects over all files sorted by name, not numbers of files. Source:
    github.com/ZhanYang-nwpu/RSVG-pytorch, data_loader.py; read as file numbers they give 3,372 samples instead of 7,500.

    Args:
        annotations: the folder of the VOC files.
        images: modality -> image source; `{name}` is the file name the VOC file gives.
        split: file of the split's lines.
        split_by: what a line is: the running number of an "object", or the name of a "file" (all its objects).
        prompt: `{phrase}` stands for the description.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages.

    Raises:
        ConfigError: unknown `split_by`.
        DataError: no VOC file, or the split is missing.
        AnnotationError: a VOC file breaks the form, or a line of the split names nothing.
    """

    split: str
    split_by: Literal["object", "file"] = "object"
    prompt: str = REFER

    def __post_init__(self) -> None:
        if self.split_by not in ("object", "file"):
            raise ConfigError(f"VocGroundingDataset: split_by must be 'object' or 'file', found '{self.split_by}'.")
        super().__post_init__()

    def parse(self, path: Path) -> list[Record]:
        objects = list(_objects(path))
        if not objects:
            raise DataError(f"{path}: no VOC file (*.xml) with an object. Fetch the annotations, or correct the data root.")
        wanted = _split_lines(Path(self.split))
        by_name: dict[str, list[_Object]] = {}
        for item in objects:
            by_name.setdefault(str(item.number) if self.split_by == "object" else item.path.stem, []).append(item)
        for number, name in wanted:
            if name not in by_name:
                raise AnnotationError(
                    f"{self.split}:{number}: '{name}' is no {self.split_by} of {path}, which has {len(objects)} objects in its files. The "
                    "split and the annotations are of different releases."
                )
        return [self._record(item) for _, name in wanted for item in by_name[name]]

    def _record(self, item: _Object) -> Record:
        height, width = item.size
        scaled = [value * SCALE / side for value, side in zip(item.box, (width, height, width, height), strict=True)]
        question = Question(
            sample_id=f"{item.path.stem}-{item.number}",
            image=item.image,
            source=str(item.path),
            text=item.phrase,
            meta={"image_size": [height, width]},
        )
        return self.locate(question, [scaled])


def _objects(folder: Path) -> Iterator[_Object]:
    """Every object of the folder's VOC files, numbered over all of them in the order of their names."""
    number = 0
    for path in sorted(folder.glob("*.xml")):
        try:
            root = ElementTree.parse(path).getroot()
        except ElementTree.ParseError as error:
            raise AnnotationError(f"{path}: not XML ({error}). Fetch the file again.") from error
        size = (_whole(root, "size/height", path=path), _whole(root, "size/width", path=path))
        for element in root.findall("object"):
            box = [float(_whole(element, f"bndbox/{edge}", path=path)) for edge in ("xmin", "ymin", "xmax", "ymax")]
            yield _Object(number, path, _text(root, "filename", path=path), size, _text(element, "description", path=path), box)
            number += 1


def _text(element: ElementTree.Element, name: str, *, path: Path) -> str:
    text = (element.findtext(name) or "").strip()
    if not text:
        raise AnnotationError(f"{path}: an element '{element.tag}' has no '{name}'. It cannot be asked about; correct the file.")
    return text


def _whole(element: ElementTree.Element, name: str, *, path: Path) -> int:
    text = _text(element, name, path=path)
    try:
        return int(float(text))
    except (ValueError, OverflowError) as error:
        raise AnnotationError(f"{path}: '{name}' is '{text}', expected a number of pixels. Correct the file.") from error


def _split_lines(path: Path) -> list[tuple[int, str]]:
    """(line number, entry) of the split; empty lines and quotes are left out."""
    if not path.is_file():
        raise DataError(f"{path}: no such split file. Fetch it beside the annotations, or correct the data root.")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [(number, line.strip().strip("\"',")) for number, line in enumerate(lines, start=1) if line.strip()]


_GROUNDING = partial(Benchmark, suite="region", task="grounding", mask_prompt=SEGMENT, settings=RGB, max_new_tokens=48)


def _voc(folder: str, *, split_by: str) -> dict[str, Any]:
    split = f"$root/{folder}/test.txt"
    return picture_dataset("VocGroundingDataset", f"{folder}/Annotations", images=f"{folder}/JPEGImages", split=split, split_by=split_by)


register(
    _GROUNDING(
        name="vrsbench_grounding",
        title="VRSBench grounding",
        prompt="{question}",
        expected=16159,
        source="VRSBench (Hugging Face xiang709/VRSBench): VRSBench_EVAL_referring.json and Images_val/ into VRSBench/.",
        dataset=picture_dataset("BoxQuestionDataset", "VRSBench/VRSBench_EVAL_referring.json", images="VRSBench/Images_val"),
    ),
    _GROUNDING(
        name="geochat_referring",
        title="GeoChat referring",
        prompt="{question}",
        source="GeoChat-Bench/referring.jsonl; images of GeoChat (images.zip) into GeoChat_finetuning/final_images_llava/.",
        dataset=picture_dataset("BoxQuestionDataset", "GeoChat-Bench/referring.jsonl", images=GEOCHAT_PICTURES),
    ),
    _GROUNDING(
        name="dior_rsvg",
        title="DIOR-RSVG test",
        prompt=REFER,
        expected=7500,
        source="github.com/ZhanYang-nwpu/RSVG-pytorch: Annotations/, JPEGImages/, test.txt into DIOR_RSVG/.",
        dataset=_voc("DIOR_RSVG", split_by="object"),
    ),
    _GROUNDING(
        name="rsvg",
        title="RSVG test",
        prompt=REFER,
        expected=1227,
        source="RSVG (Sun et al., ACM MM 2022): Annotations/, JPEGImages/, test.txt into RSVG/.",
        dataset=_voc("RSVG", split_by="file"),
    ),
)
