"""Test sets of locations in pictures in their upstream layouts: regions, boxes, masks."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from eocore.data.io.masks import encode_rle, mask_to_box
from eocore.files import write_file
from eocore.synthetic.annotation_files import PICKLE_PROTOCOL, REFER_FILE, ReferTables, SceneNotes
from eocore.synthetic.test_sets.images import MadeScenes, rgb_picture, sar_picture, save_json, save_lines, save_picture
from eocore.synthetic.world import CLASSES

SIZE_GROUPS = ("small", "medium", "large")


def percent_box(mask: np.ndarray) -> list[int]:
    """[x0, y0, x1, y1] of a mask in whole per cents of the image, at least one wide and high."""
    height, width = mask.shape
    left, top, right, bottom = mask_to_box(mask) or (0, 0, 1, 1)
    x0, y0 = int(100 * left / width), int(100 * top / height)
    return [x0, y0, max(x0 + 1, round(100 * right / width)), max(y0 + 1, round(100 * bottom / height))]


def write_geochat_regions(file: Path, images: Path, *, scenes: MadeScenes) -> None:
    """region_captioning.jsonl: the box stands in the question, turned by 90 degrees in every second entry."""
    lines: list[dict[str, Any]] = []
    for number, scene in enumerate(scenes.scenes):
        save_picture(images / f"{number:05d}.png", rgb_picture(scene))
        for region in scene.questions.regions[:2]:
            box = "".join(f"<{value}>" for value in percent_box(region.mask))
            turned = f"{{{box}|<{90 if len(lines) % 2 else 0}>}}"
            lines.append(
                {
                    "image_id": f"{number:05d}",
                    "question": f"[identify] What is the object present at {turned}",
                    "ground_truth": region.description,
                    "question_id": len(lines),
                    "type": "region",
                    "dataset": "made",
                    "obj_ids": [0],
                    "size_group": SIZE_GROUPS[len(lines) % 3],
                }
            )
    save_lines(file, lines)


def write_vrsbench_referring(folder: Path, scenes: MadeScenes) -> None:
    """VRSBench_EVAL_referring.json with Images_val/."""
    entries: list[dict[str, Any]] = []
    for number, scene in enumerate(scenes.scenes):
        name = f"P{number:04d}_{number:04d}.png"
        save_picture(folder / "Images_val" / name, rgb_picture(scene))
        for phrase in scene.questions.phrases[:3]:
            x0, y0, x1, y1 = percent_box(phrase.mask)
            entries.append(
                {
                    "image_id": name,
                    "question": f"{phrase.text.capitalize()}.",
                    "ground_truth": f"{{<{x0}><{y0}><{x1}><{y1}>}}",
                    "question_id": len(entries),
                    "type": "ref",
                    "unique": len(entries) % 2 == 0,
                    "obj_corner": [value / 100 for value in (x0, y0, x1, y0, x1, y1, x0, y1)],
                    "obj_cls": "object",
                    "obj_ids": [0],
                    "size_group": SIZE_GROUPS[len(entries) % 3],
                }
            )
    save_json(folder / "VRSBench_EVAL_referring.json", entries)


def write_geochat_referring(file: Path, images: Path, *, scenes: MadeScenes) -> None:
    """referring.jsonl: the ground truth is a list of polygons of four corners, 0 to 100."""
    lines: list[dict[str, Any]] = []
    for number, scene in enumerate(scenes.scenes):
        save_picture(images / f"{number:05d}.png", rgb_picture(scene))
        for phrase in scene.questions.phrases[:2]:
            x0, y0, x1, y1 = percent_box(phrase.mask)
            lines.append(
                {
                    "image_id": f"{number:05d}",
                    "question": phrase.text,
                    "ground_truth": [[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]],
                    "question_id": len(lines),
                    "type": "ref",
                    "dataset": "made",
                    "size_group": SIZE_GROUPS[len(lines) % 3],
                }
            )
    save_lines(file, lines)


def write_voc(folder: Path, scenes: MadeScenes, *, split_by: str) -> None:
    """Annotations/*.xml, JPEGImages/*.jpg, {train,test}.txt; lines of the splits number objects (DIOR-RSVG) or name files (RSVG)."""
    objects: list[tuple[int, str]] = []
    for number, scene in enumerate(scenes.scenes):
        stem = f"{number + 1:05d}"
        save_picture(folder / "JPEGImages" / f"{stem}.jpg", rgb_picture(scene))
        root = ElementTree.Element("annotation")
        ElementTree.SubElement(root, "filename").text = f"{stem}.jpg"
        size = ElementTree.SubElement(root, "size")
        height, width = scene.layout.class_map.shape
        for name, value in (("width", width), ("height", height), ("depth", 3)):
            ElementTree.SubElement(size, name).text = str(value)
        for phrase in scene.questions.phrases:
            _add_object(root, phrase.text, box=mask_to_box(phrase.mask) or (0, 0, 1, 1))
            objects.append((len(objects), stem))
        write_file(folder / "Annotations" / f"{stem}.xml", ElementTree.tostring(root))
    chosen = [(index, stem) for index, stem in objects if index % 2 == 0] if split_by == "object" else objects[: len(objects) // 2 + 1]
    names = {"object": [str(index) for index, _ in chosen], "file": sorted({stem for _, stem in chosen})}[split_by]
    write_file(folder / "test.txt", "".join(f"{name}\n" for name in names).encode())
    write_file(folder / "train.txt", b"1\n" if split_by == "object" else f"{objects[-1][1]}\n".encode())


def _add_object(root: ElementTree.Element, text: str, *, box: Sequence[int]) -> None:
    item = ElementTree.SubElement(root, "object")
    ElementTree.SubElement(item, "name").text = "thing"
    corners = ElementTree.SubElement(item, "bndbox")
    for edge, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
        ElementTree.SubElement(corners, edge).text = str(value)
    ElementTree.SubElement(item, "difficult").text = "0"
    ElementTree.SubElement(item, "description").text = text


def write_ships(folder: Path, scenes: MadeScenes) -> None:
    """test.jsonl and images/: every box of an image, with an angle."""
    lines = []
    for number, scene in enumerate(scenes.scenes):
        save_picture(folder / "images" / f"{number:04d}.png", sar_picture(scene))
        boxes = [[*percent_box(phrase.mask), 0] for phrase in scene.questions.phrases[:2]]
        group = "multi" if len(boxes) > 1 else "single"
        lines.append(
            {"image": f"{number:04d}.png", "question": "Detect all ships in the image.", "answer": str(boxes), "size_group": group}
        )
    save_lines(folder / "test.jsonl", lines)


def write_coco_regions(file: Path, images: Path, *, scenes: MadeScenes) -> None:
    """rsvg_test.json: one region an image, the caption with the image."""
    table: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": []}
    for number, scene in enumerate(scenes.scenes):
        if not scene.questions.regions:
            continue
        region, (height, width) = scene.questions.regions[0], scene.layout.class_map.shape
        name = f"{number:05d}.jpg"
        save_picture(images / name, rgb_picture(scene))
        size = {"height": height, "width": width}
        table["images"].append({"id": number, "file_name": name, **size, "caption": region.description})
        table["annotations"].append({"id": number, "image_id": number, "segmentation": encode_rle(region.mask)})
    save_json(file, table)


def write_refer(folder: Path, scenes: MadeScenes, *, images: str = "images", suffix: str = ".jpg", sar: bool = False) -> None:
    """refs(unc).p, instances.json and the images; with `sar` the pair folders sar/ (.png) and rgb/ (.jpg) of the same base names."""
    tables = ReferTables(split="test", classes=CLASSES)
    for number, scene in enumerate(scenes.scenes):
        notes = SceneNotes(f"{number:05d}", scene.layout.class_map.shape, scene.questions, suffix=suffix)
        tables.add(notes)
        save_picture(folder / images / notes.image, rgb_picture(scene))
        if sar:
            save_picture(folder / "sar" / f"{notes.scene_id}.png", sar_picture(scene))
    write_file(folder / REFER_FILE, pickle.dumps(tables.refs, protocol=PICKLE_PROTOCOL))
    save_json(folder / "instances.json", tables.instances)
