"""Referring sets as their authors release them, before they are prepared: RRSIS-D, RefSegRS, RISBench."""

import pickle
from pathlib import Path

import numpy as np

from eocore.files import write_file
from eocore.synthetic.annotation_files import PICKLE_PROTOCOL, REFER_FILE, ReferTables, SceneNotes
from eocore.synthetic.test_sets.images import MadeScenes, rgb_picture, save_json, save_picture
from eocore.synthetic.world import CLASSES

SPLITS = ("train", "val", "test")


def write_rrsisd(root: Path, scenes: MadeScenes) -> None:
    """rrsisd/{refs(unc).p,instances.json} and images/rrsisd/{JPEGImages,ann_split}; polygons have been replaced by RLE."""
    tables = ReferTables(split="test", classes=CLASSES)
    for number, scene in enumerate(scenes.scenes):
        notes = SceneNotes(f"{number:05d}", scene.layout.class_map.shape, scene.questions, suffix=".jpg")
        tables.add(notes)
        save_picture(root / "images/rrsisd/JPEGImages" / notes.image, rgb_picture(scene))
    (root / "images/rrsisd/ann_split").mkdir(parents=True, exist_ok=True)
    write_file(root / "rrsisd" / REFER_FILE, pickle.dumps(tables.refs, protocol=PICKLE_PROTOCOL))
    save_json(root / "rrsisd" / "instances.json", tables.instances)


def write_refsegrs(root: Path, scenes: MadeScenes) -> None:
    """images/<id>.tif, masks/<id>.tif (> 0) and output_phrase_{train,val,test}.txt with lines "<id> <expression>"."""
    _write_phrases(root, scenes, images="images", masks="masks", image_suffix=".tif", mask_suffix=".tif")


def write_risbench(root: Path, scenes: MadeScenes) -> None:
    """img_rgb/<id>.jpg, mask/<id>.png (> 0) and output_phrase_{train,val,test}.txt."""
    _write_phrases(root, scenes, images="img_rgb", masks="mask", image_suffix=".jpg", mask_suffix=".png")


def _write_phrases(root: Path, scenes: MadeScenes, *, images: str, masks: str, image_suffix: str, mask_suffix: str) -> None:
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    number = 0
    for scene in scenes.scenes:
        for phrase in scene.questions.phrases[:2]:
            number += 1
            save_picture(root / images / f"{number}{image_suffix}", rgb_picture(scene))
            save_picture(root / masks / f"{number}{mask_suffix}", np.where(phrase.mask, 255, 0).astype(np.uint8))
            lines[SPLITS[number % 3]].append(f"{number} {phrase.text}\n")
    for split, texts in lines.items():
        write_file(root / f"output_phrase_{split}.txt", "".join(texts).encode())
