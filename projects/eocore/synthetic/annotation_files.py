"""Annotation files in the published formats, written from `Questions`.

Formats: LLaVA JSON (VQA, captions), EarthMind-Bench JSON (multiple choice), REFER (`refs(unc).p` and `instances.json`), a JSONL form of
our own (referring) and Osprey JSON (regions). Each file is written through a temporary one, so that no reader ever meets half a file.
"""

import json
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eocore.data.io.masks import encode_rle, mask_to_box
from eocore.errors import DataError
from eocore.files import write_file
from eocore.synthetic.land_map import LandClass
from eocore.synthetic.phrases import Phrase
from eocore.synthetic.questions import Questions

CAPTION_PROMPTS = ("Describe the scene.", "What does the image show?")
REFER_FILE = "refs(unc).p"
PICKLE_PROTOCOL = 2
"""The protocol of the published REFER files."""


@dataclass(frozen=True)
class SceneNotes:
    """What is asked about one scene, with what the files say about it.

    Attributes:
        scene_id: the image name without suffix; all sensors share it.
        size: (height, width) [px].
        questions: all that is asked.
        flags: plain values copied into every entry, e.g. {"cloudy": True}.
        suffix: ending of the image the entries name.
    """

    scene_id: str
    size: tuple[int, int]
    questions: Questions
    flags: Mapping[str, Any] = field(default_factory=dict)
    suffix: str = ".png"

    @property
    def image(self) -> str:
        """The image as the entries name it."""
        return self.scene_id + self.suffix


def write_annotations(folder: Path, notes: Iterable[SceneNotes], *, split: str, classes: Mapping[int, LandClass]) -> dict[str, int]:
    """Number of entries by file: `vqa`, `caption`, `mcq`, `region` (.json), `referring.jsonl` and `referring/` under `folder`.

    Args:
        folder: is made where it does not exist.
        notes: the scenes, in the order of the files; each is let go once it is noted down, so masks of a large set never pile up.
        split: "train", "val" or "test", as REFER entries name it.
        classes: REFER categories, by class number.
    """
    lists: dict[str, list[dict[str, Any]]] = {name: [] for name in (*LISTS, "referring.jsonl")}
    refer = ReferTables(split=split, classes=classes)
    for scene in notes:
        for name, entries_of in LISTS.items():
            lists[name] += entries_of(scene)
        lists["referring.jsonl"] += referring_entries(scene)
        refer.add(scene)
    for name in LISTS:
        write_file(folder / name, json.dumps(lists[name], indent=0).encode())
    write_file(folder / "referring.jsonl", "".join(json.dumps(entry) + "\n" for entry in lists["referring.jsonl"]).encode())
    write_file(folder / "referring" / REFER_FILE, pickle.dumps(refer.refs, protocol=PICKLE_PROTOCOL))
    write_file(folder / "referring" / "instances.json", json.dumps(refer.instances).encode())
    return {**{name: len(entries) for name, entries in lists.items()}, REFER_FILE: len(refer.refs)}


def vqa_entries(scene: SceneNotes) -> list[dict[str, Any]]:
    """LLaVA entries, one question each."""
    return [
        {
            "id": f"{scene.scene_id}_vqa{number}",
            "image": scene.image,
            "conversations": _conversation(question.text, question.answer),
            "type": question.kind,
            **scene.flags,
        }
        for number, question in enumerate(scene.questions.questions)
    ]


def caption_entries(scene: SceneNotes) -> list[dict[str, Any]]:
    """LLaVA entries that ask for a description; the prompts take turns."""
    return [
        {
            "id": f"{scene.scene_id}_caption{number}",
            "image": scene.image,
            "conversations": _conversation(CAPTION_PROMPTS[number % len(CAPTION_PROMPTS)], caption),
            "type": "caption",
            **scene.flags,
        }
        for number, caption in enumerate(scene.questions.captions)
    ]


def _conversation(question: str, answer: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]


def mcq_entries(scene: SceneNotes) -> list[dict[str, Any]]:
    """EarthMind-Bench entries; the image is named after a JSON file, as upstream."""
    return [
        {
            "file_name": f"{scene.scene_id}.json",
            "question": choice.text,
            "candidate": list(choice.candidates),
            "answer": choice.answer,
            "task_type": choice.kind,
            **scene.flags,
        }
        for choice in scene.questions.choices
    ]


def region_entries(scene: SceneNotes) -> list[dict[str, Any]]:
    """Osprey entries, one per scene with regions: descriptions and annotations in the same order."""
    regions = scene.questions.regions
    if not regions:
        return []
    return [
        {
            "file_name": scene.image,
            "height": scene.size[0],
            "width": scene.size[1],
            "description": [region.description for region in regions],
            "annotation": [{"segmentation": encode_rle(region.mask)} for region in regions],
            **scene.flags,
        }
    ]


def referring_entries(scene: SceneNotes) -> list[dict[str, Any]]:
    """Entries of our own JSONL form, one phrase each."""
    return [
        {
            "sample_id": f"{scene.scene_id}_ref{number}",
            "image": scene.scene_id,
            "height": scene.size[0],
            "width": scene.size[1],
            "expression": phrase.text,
            "mask": encode_rle(phrase.mask),
            "type": phrase.kind,
            **({"place": phrase.place} if phrase.place else {}),
            **scene.flags,
        }
        for number, phrase in enumerate(scene.questions.phrases)
    ]


class ReferTables:
    """The content of a REFER set, gathered scene by scene; numbers run from 1.

    Attributes:
        refs: entries of `refs(unc).p`.
        instances: content of `instances.json`.
    """

    def __init__(self, *, split: str, classes: Mapping[int, LandClass]) -> None:
        self._split = split
        self.refs: list[dict[str, Any]] = []
        categories = [{"id": class_id, "name": land_class.name} for class_id, land_class in classes.items()]
        self.instances: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": categories}

    def add(self, scene: SceneNotes) -> None:
        """One image with its phrases, each with an annotation of its own.

        Raises:
            DataError: a phrase points at no pixel.
        """
        images = self.instances["images"]
        image_id = len(images) + 1
        images.append({"id": image_id, "file_name": scene.image, "height": scene.size[0], "width": scene.size[1]})
        for phrase in scene.questions.phrases:
            number = len(self.refs) + 1
            self.instances["annotations"].append(_annotation(phrase, number=number, image_id=image_id))
            self.refs.append(
                {
                    "ref_id": number,
                    "ann_id": number,
                    "image_id": image_id,
                    "category_id": phrase.class_id,
                    "split": self._split,
                    "file_name": scene.image,
                    "sent_ids": [number],
                    "sentences": [{"sent_id": number, "sent": phrase.text, "raw": phrase.text, "tokens": phrase.text.split()}],
                    **scene.flags,
                }
            )


def _annotation(phrase: Phrase, *, number: int, image_id: int) -> dict[str, Any]:
    """A COCO annotation; the box is (x, y, width, height) [px]."""
    box = mask_to_box(phrase.mask)
    if box is None:
        raise DataError(f"'{phrase.text}' points at no pixel; an annotation needs a mask with one at least. Ask for larger areas only.")
    left, top, right, bottom = box
    return {
        "id": number,
        "image_id": image_id,
        "category_id": phrase.class_id,
        "segmentation": encode_rle(phrase.mask),
        "bbox": [left, top, right - left, bottom - top],
        "area": int(phrase.mask.sum()),
        "iscrowd": 0,
    }


LISTS = {"vqa.json": vqa_entries, "caption.json": caption_entries, "mcq.json": mcq_entries, "region.json": region_entries}
"""Files that hold one JSON list, and what each gets from a scene."""
