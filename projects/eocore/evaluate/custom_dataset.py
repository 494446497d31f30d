"""A user's own data: one JSON lines file for each task."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eocore.data.dataset import RecordDataset, SampleKey, Scenes
from eocore.data.formats.entries import Entry, read_entries, segmentation_mask, shorten
from eocore.data.formats.images import read_image_refs
from eocore.data.image_sources import file_inside
from eocore.data.records import ImageRef, MaskRef, Record
from eocore.errors import AnnotationError
from eocore.evaluate.benchmarks.boxes import SCALE, read_boxes
from eocore.evaluate.benchmarks.caption import DESCRIBE
from eocore.evaluate.benchmarks.grounding import REFER, SEGMENT
from eocore.evaluate.benchmarks.multispectral import ALL_THAT_APPLY, lettered
from eocore.evaluate.benchmarks.questions import SINGLE_WORD
from eocore.evaluate.benchmarks.region import SHOW_REGION
from eocore.evaluate.benchmarks.scene import CLASSIFY
from eocore.evaluate.metrics.boxes import box_text
from eocore.portable.messages import REGION_PLACEHOLDER, Part, Seg, Text, Turn, about_images, read_parts
from eocore.registry import DATASETS
from eocore.sensors.orientation import check_as_stored

BOX_TASKS = ("grounding", "detection")
"""Tasks whose truth is boxes in the pixels of the files as they are stored."""

PROMPTS = {
    "vqa": f"{{question}}\n{SINGLE_WORD}",
    "mcq": "{question}\n{candidates}\nonly output the correct option.",
    "classification": CLASSIFY,
    "multilabel": ALL_THAT_APPLY,
    "caption": DESCRIBE,
    "region": SHOW_REGION,
    "grounding": REFER,
    "detection": "{question}",
    "referring": SEGMENT,
    "retrieval": "Find the texts that fit this image.",
}
"""What is asked where an entry has no `question` of its own."""

_OWN = ("sample_id", "image", "images", "question", "answer", "candidates", "label", "labels", "references", "reference", "phrase")


@DATASETS.register_module()
class CustomDataset(RecordDataset):
    """JSON lines of {sample_id, image or images, ...}; docs/evaluation.md says what each task adds.

    `image` or `images` name the images, as `formats.images.read_image_refs` says. Paths are relative to the file's folder and do
    not leave it.

    Args:
        annotations: the file.
        task: one of `predictions.TASKS` but "chat".
        prompt: asked where an entry has no question; placeholders as in PROMPTS.
        transforms: configs of the registry TRANSFORMS.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.

    Raises:
        AnnotationError: an entry breaks the form of its task.
    """

    def __init__(
        self,
        *,
        annotations: str,
        task: str,
        prompt: str = "",
        transforms: Sequence[Mapping[str, Any]] = (),
        limit: int | None = None,
        name: str = "",
    ) -> None:
        self.task, self.prompt, self.folder = task, prompt or PROMPTS[task], Path(annotations).parent
        super().__init__(annotations=annotations, images={}, transforms=transforms, limit=limit, name=name)

    def parse(self, path: Path) -> list[Record]:
        return [self._record(entry) for entry in read_entries(path)]

    def image_root(self, ref: ImageRef) -> Path:
        return self.folder

    def read(self, key: SampleKey, rng: np.random.Generator) -> tuple[Record, Scenes]:
        record, scenes = super().read(key, rng)
        if self.task in BOX_TASKS:
            check_as_stored(scenes, source=record.source)
        return record, scenes

    def _record(self, entry: Entry) -> Record:
        answer, meta = _truth(entry, self.task)
        masks = _masks(entry, self.folder) if self.task in ("referring", "region") else ()
        if self.task == "region" and not masks:
            raise AnnotationError(f"{entry.source}: a region needs a 'mask' or a 'box'. Add one.")
        if self.task == "referring":
            answer = "" if masks else "It is not in this image."
        question = self._question(entry, meta)
        asked = read_parts(question, "user") if self.task == "region" else (Text(question),)
        answered: tuple[Part, ...] = (Seg(0),) if self.task == "referring" and masks else (Text(answer),)
        return Record(
            sample_id=entry.identifier("sample_id"),
            images=read_image_refs(entry, self.folder),
            turns=(Turn("user", about_images(*asked)), Turn("assistant", answered)),
            masks=masks if self.task == "referring" else (),
            regions=masks if self.task == "region" else (),
            task=self.task,
            source=entry.source,
            meta={**entry.extras(*_OWN), **meta, "answer": "" if self.task == "referring" else answer},
        )

    def _question(self, entry: Entry, meta: Mapping[str, Any]) -> str:
        values = {
            "question": entry.text("question") if "question" in entry.values else "",
            "phrase": entry.text("phrase") if "phrase" in entry.values else "",
            "candidates": "\n".join(meta.get("candidates", ())),
            "classes": lettered(meta.get("candidates", ())) if self.task == "multilabel" else ", ".join(meta.get("candidates", ())),
        }
        own = values["question"] if self.task not in ("vqa", "mcq") else ""
        text = own or self.prompt
        for name, value in values.items():
            if "{" + name + "}" in text and not value:
                raise AnnotationError(f"{entry.source}: a {self.task} entry needs a '{name}'. Add it.")
            text = text.replace("{" + name + "}", value)
        if self.task == "region" and REGION_PLACEHOLDER not in text:
            text = f"region1{REGION_PLACEHOLDER}. {text}"
        return text


def _truth(entry: Entry, task: str) -> tuple[str, dict[str, Any]]:
    """The true answer as text, and what the task is scored by."""
    if task == "vqa":
        return entry.identifier("answer"), {}
    if task == "mcq":
        return entry.text("answer"), {"candidates": _texts(entry, "candidates")}
    if task == "classification":
        return entry.text("label"), {"candidates": _texts(entry, "candidates"), "type": entry.text("label")}
    if task == "multilabel":
        labels = _texts(entry, "labels")
        return "; ".join(labels), {"candidates": _texts(entry, "candidates"), "labels": labels}
    if task in ("caption", "region", "retrieval"):
        references = _texts(entry, "references")
        return references[0], {"references": references}
    if task in ("grounding", "detection"):
        boxes = read_boxes(entry.values.get("boxes"), entry.source)
        return "".join(map(box_text, boxes)), {"boxes": boxes, "box_scale": entry.values.get("box_scale", SCALE)}
    return "", {}


def _texts(entry: Entry, key: str) -> list[str]:
    values = entry.items(key)
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise AnnotationError(f"{entry.source}: field '{key}' must be a list of texts, found {shorten(values)}.")
    return values


def _masks(entry: Entry, folder: Path) -> tuple[MaskRef, ...]:
    """The mask under `mask` (RLE, rings, {"path"}, null) or `box` [px]."""
    if "box" in entry.values:
        return (MaskRef("box", entry.values["box"]),)
    if "mask" not in entry.values:
        raise AnnotationError(f"{entry.source}: no field 'mask' or 'box'; write \"mask\": null for a phrase without a target.")
    mask = entry.values["mask"]
    if mask is None:
        return ()
    if isinstance(mask, Mapping) and isinstance(mask.get("path"), str):
        return (MaskRef("file", {"path": file_inside(folder, mask["path"], source=entry.source), "value": mask.get("value")}),)
    return (segmentation_mask(mask, entry.source),)
