"""Test sets of pictures in their upstream layouts: scene classes, questions, captions."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eocore.data.formats.task_annotations import IMAGE_FOLDER, ClassAnnotation, write_task_annotations
from eocore.files import write_file
from eocore.synthetic.test_sets.images import MadeScenes, class_name, rgb_picture, save_json, save_lines, save_picture

ASK_SHORT = "Answer the question using a single word or phrase."
RSVQA_TYPES = ("presence", "comp", "rural_urban", "count")


def write_class_folders(root: Path, scenes: MadeScenes, *, classes: Sequence[str], suffix: str = ".jpg") -> None:
    """`root/<Class>/<class>_<n>.jpg`: AID, WHU-RS19, EuroSAT, NWPU-RESISC45, UC Merced; one picture a class."""
    for number, label in enumerate(classes):
        save_picture(root / label / f"{label.lower()}_{number + 1}{suffix}", rgb_picture(scenes[number]))


def write_annotated_classes(folder: Path, scenes: MadeScenes, *, classes: Sequence[str]) -> None:
    """`folder/images/<class>_<n>.jpg` and annotations.json, see `eocore.data.formats.task_annotations`; one picture a class."""
    entries = []
    for number, label in enumerate(classes):
        name = f"{label}_{number}.jpg"
        save_picture(folder / IMAGE_FOLDER / name, rgb_picture(scenes[number]))
        entries.append(ClassAnnotation(image=name, label=label, split="test"))
    write_task_annotations(folder, entries, classes=classes)


def write_forestnet(root: Path, scenes: MadeScenes, *, classes: Sequence[str]) -> None:
    """ForestNet as released: test.csv and `examples/<place>/images/visible/composite.png`. Source: Irvin et al. 2020, arXiv 2011.05479."""
    lines = ["label,merged_label,latitude,longitude,year,example_path"]
    for number, label in enumerate(classes):
        latitude, longitude = -1.5 - number, 110.25 + number
        example = f"examples/{latitude}_{longitude}"
        save_picture(root / example / "images/visible/composite.png", rgb_picture(scenes[number]))
        lines.append(f"{label} detail,{label},{latitude},{longitude},2014,{example}")
    write_file(root / "test.csv", "\n".join([*lines, ""]))


def write_scene_questions(file: Path, images: Path, *, scenes: MadeScenes, classes: Sequence[str], suffix: str, junk: str) -> None:
    """GeoChat-Bench aid.jsonl or UCmerced.jsonl with its class folders; `junk` stands after the class, as in the released aid.jsonl."""
    write_class_folders(images, scenes, classes=classes, suffix=suffix)
    text = f"Classes: {', '.join(classes)}. Classify the image from the following classes. Answer in one word or a short phrase."
    save_lines(
        file,
        (
            {
                "image": f"{label}/{label.lower()}_{number + 1}{suffix}",
                "question_id": number,
                "text": text,
                "ground_truth": label + junk,
            }
            for number, label in enumerate(classes)
        ),
    )


def write_rsvqa(folder: Path, images: Path, *, scenes: MadeScenes, prefix: str) -> None:
    """`<prefix>_{images,questions,answers}.json` and `<image id>.tif`; one question of each image has been withdrawn."""
    tables: dict[str, list[dict[str, Any]]] = {"images": [], "questions": [], "answers": []}
    for image_id, scene in enumerate(scenes.scenes):
        save_picture(images / f"{image_id}.tif", rgb_picture(scene))
        asked = [(question.text, question.answer) for question in scene.questions.questions][: len(RSVQA_TYPES)]
        first = len(tables["questions"])
        for number, (text, answer) in enumerate(asked):
            active = number < len(asked) - 1 or len(asked) == 1
            question = {"id": first + number, "img_id": image_id, "type": RSVQA_TYPES[number], "question": text}
            tables["questions"].append({**question, "answers_ids": [first + number], "active": active})
            tables["answers"].append({"id": first + number, "question_id": first + number, "answer": answer, "active": active})
        tables["images"].append({"id": image_id, "questions_ids": list(range(first, first + len(asked))), "active": True})
    for name, entries in tables.items():
        save_json(folder / f"{prefix}_{name}.json", {name: entries})


def write_hrben(file: Path, questions: Path) -> None:
    """GeoChat-Bench hrben.jsonl: the questions on presence and comparison of an RSVQA file, without answers."""
    listed = json.loads(questions.read_text(encoding="utf-8"))["questions"]
    save_lines(
        file,
        (
            {
                "image": f"{entry['img_id']}.tif",
                "question_id": entry["id"],
                "category": entry["type"],
                "text": f"{entry['question']} {ASK_SHORT}",
            }
            for entry in listed
            if entry["active"] and entry["type"] in RSVQA_TYPES[:2]
        ),
    )


def write_vrsbench(folder: Path, scenes: MadeScenes) -> None:
    """VRSBench_EVAL_vqa.json and VRSBench_EVAL_Cap.json with Images_val/."""
    vqa: list[dict[str, Any]] = []
    captions: list[dict[str, Any]] = []
    kinds = ("object existence", "object quantity", "object category", "scene type", "rural or urban", "image")
    for number, scene in enumerate(scenes.scenes):
        name = f"P{number:04d}_{number:04d}.png"
        save_picture(folder / "Images_val" / name, rgb_picture(scene))
        for index, question in enumerate(scene.questions.questions):
            asked = {"image_id": name, "question": question.text, "ground_truth": question.answer, "dataset": "VRSBench"}
            vqa.append({**asked, "question_id": len(vqa), "type": kinds[index % len(kinds)]})
        for caption in scene.questions.captions:
            entry = {"image_id": name, "question": "Describe the image in detail", "ground_truth": caption}
            captions.append({**entry, "question_id": len(captions), "type": "caption"})
    save_json(folder / "VRSBench_EVAL_vqa.json", vqa)
    save_json(folder / "VRSBench_EVAL_Cap.json", captions)


def write_karpathy(file: Path, images: Path, *, scenes: MadeScenes, suffix: str) -> None:
    """{images: [{filename, imgid, split, sentences}]}; every third image is of the training split."""
    entries = []
    for number, scene in enumerate(scenes.scenes):
        save_picture(images / f"{number + 1}{suffix}", rgb_picture(scene))
        texts = five_captions(number, scenes)
        entries.append(
            {
                "filename": f"{number + 1}{suffix}",
                "imgid": number,
                "split": "train" if number % 3 == 2 else "test",
                "sentences": [{"raw": text, "tokens": text.rstrip(".").split(), "imgid": number} for text in texts],
            }
        )
    save_json(file, {"images": entries, "dataset": "made"})


def write_nwpu_captions(file: Path, images: Path, *, scenes: MadeScenes) -> None:
    """{class: [{filename, imgid, split, raw, raw_1 .. raw_4}]} with class folders."""
    table: dict[str, list[dict[str, Any]]] = {}
    for number, scene in enumerate(scenes.scenes):
        label = class_name(scene).replace(" ", "_")
        name = f"{label}_{number + 1:03d}.jpg"
        save_picture(images / label / name, rgb_picture(scene))
        texts = five_captions(number, scenes)
        raw = dict(zip(("raw", "raw_1", "raw_2", "raw_3", "raw_4"), texts, strict=True))
        table.setdefault(label, []).append({"filename": name, "imgid": number, "split": "val" if number % 3 == 2 else "test", **raw})
    save_json(file, table)


def five_captions(number: int, scenes: MadeScenes) -> list[str]:
    """Five sentences about a scene."""
    scene = scenes[number]
    main = (scene.questions.captions or (f"The scene shows {class_name(scene)}.",))[0]
    kind = class_name(scene)
    return [main, f"There is {kind} .", f"It is a place of {kind} .", f"A scene of {kind} .", f"Here is {kind} ."]
