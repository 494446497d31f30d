"""Test sets of change and of large images in their upstream layouts."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from eocore.data.io.masks import mask_to_box
from eocore.files import write_file
from eocore.synthetic.spectra import true_colour
from eocore.synthetic.test_sets.images import MadeScenes, rgb_picture, save_json, save_lines, save_picture
from eocore.synthetic.timeline import Series, make_series

MADE_SEED = 11


def _pairs(scenes: MadeScenes) -> list[Series]:
    """As many pairs as there are scenes, of their size."""
    size = scenes[0].layout.class_map.shape[0]
    return [make_series(f"pair_{number}", [MADE_SEED, number], size=size, num_dates=2) for number in range(len(scenes))]


def _changed(pair: Series) -> np.ndarray:
    return np.asarray(pair.layouts[0].class_map != pair.layouts[1].class_map)


def write_levir_cd(root: Path, scenes: MadeScenes) -> None:
    """test/{A,B,label}/test_<n>.png, label 255 where something changed."""
    for number, pair in enumerate(_pairs(scenes), start=1):
        name = f"test_{number}.png"
        for side, picture in zip("AB", pair.optical, strict=True):
            save_picture(root / "test" / side / name, np.asarray(true_colour(picture)))
        save_picture(root / "test/label" / name, np.where(_changed(pair), 255, 0).astype(np.uint8))


def write_levir_cc(root: Path, scenes: MadeScenes) -> None:
    """LevirCCcaptions.json and images/<split>/{A,B}/<split>_<n>.png; the last pair is of the training split."""
    entries = []
    pairs = _pairs(scenes)
    for number, pair in enumerate(pairs, start=1):
        split = "train" if number == len(pairs) else "test"
        name, flag = f"{split}_{number:06d}.png", int(number % 2)
        for side, picture in zip("AB", pair.optical, strict=True):
            save_picture(root / "images" / split / side / name, np.asarray(true_colour(picture)))
        texts = [f"{pair.events[0].kind} appears ." if flag else "there is no difference ."] * 5
        sentences = [{"tokens": text.split(), "raw": text, "imgid": number, "sentid": number * 5 + part} for part, text in enumerate(texts)]
        entries.append({"filepath": split, "filename": name, "imgid": number, "split": split, "changeflag": flag, "sentences": sentences})
    save_json(root / "LevirCCcaptions.json", {"images": entries, "dataset": "LEVIR_CC"})


def write_xbd(root: Path, scenes: MadeScenes) -> None:
    """test/images/<id>_{pre,post}_disaster.png and test/labels/ with a building in each half of the first class map."""
    for number, pair in enumerate(_pairs(scenes)):
        scene = f"made-flooding_{number:08d}"
        left, top, right, bottom = mask_to_box(_changed(pair)) or (1, 1, 9, 9)
        for moment, picture, day in zip(("pre", "post"), pair.optical, pair.dates, strict=True):
            save_picture(root / "test/images" / f"{scene}_{moment}_disaster.png", np.asarray(true_colour(picture)))
            corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
            wkt = f"POLYGON (({', '.join(f'{x} {y}' for x, y in corners)}))"
            properties: dict[str, Any] = {"feature_type": "building", "uid": f"{number}"}
            if moment == "post":
                properties["subtype"] = ("destroyed", "no-damage")[number % 2]
            label = {
                "features": {"lng_lat": [], "xy": [{"properties": properties, "wkt": wkt}]},
                "metadata": {"disaster": "made-flooding", "disaster_type": "flooding", "capture_date": f"{day}T10:30:00.000Z"},
            }
            save_json(root / "test/labels" / f"{scene}_{moment}_disaster.json", label)


def write_landsat30(root: Path, scenes: MadeScenes) -> None:
    """Landsat30-AU-VQA-test.csv and the pictures it names."""
    text = io.StringIO()
    columns = ("image_path", "question", "question_type", "options", "answer", "challenge_case", "capture_time", "geohash", "qa_id")
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    for number, scene in enumerate(scenes.scenes):
        choice = scene.questions.choices[0]
        name = f"DEA_VLM_images/ga_ls8c_ard_3-x{number}/{number}.png"
        save_picture(root / name, rgb_picture(scene))
        table.writerow(
            {
                "image_path": name,
                "question": choice.text,
                "question_type": "Macro-Object Presence (MOP)",
                "options": str(list(choice.candidates)),
                "answer": choice.answer,
                "challenge_case": "normal",
                "capture_time": "1/10/2015",
                "geohash": "r64d1sf",
                "qa_id": f"vqa_id_{number:05d}",
            }
        )
    write_file(root / "Landsat30-AU-VQA-test.csv", text.getvalue())


def write_lrs_vqa(root: Path, scenes: MadeScenes) -> None:
    """LRS_VQA_merged.jsonl and image/."""
    for number, scene in enumerate(scenes.scenes):
        save_picture(root / "image" / f"{number}.png", rgb_picture(scene))
    save_lines(
        root / "LRS_VQA_merged.jsonl",
        (
            {
                "question_id": f"FAIR_{number}",
                "image": f"{number}.png",
                "text": scene.questions.questions[0].text,
                "ground_truth": scene.questions.questions[0].answer,
                "category": "object category",
            }
            for number, scene in enumerate(scenes.scenes)
        ),
    )
