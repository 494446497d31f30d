"""Test sets of several sensors in their upstream layouts: BigEarthNet, composites of it, So2Sat, EarthMind-Bench."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eocore.synthetic.spectra import OPTICAL_BANDS, SAR_BANDS, digital_numbers
from eocore.synthetic.test_sets.images import (
    MadeScenes,
    rgb_picture,
    sar_picture,
    save_bands,
    save_json,
    save_layers,
    save_lines,
    save_picture,
    save_sar_bands,
)
from eocore.synthetic.world import SyntheticScene

CLC_LABELS = (
    "Water bodies",
    "Broad-leaved forest",
    "Non-irrigated arable land",
    "Discontinuous urban fabric",
    "Sea and ocean",
    "Airports",
)
"""Some of the 43 labels of BigEarthNet's own files; the last one has no class of the 19."""

COMPOSITES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11))
"""Bands of rgb_1.png ... rgb_4.png, in the order of their names. Source: EarthMind v1, bigearthnet.py."""

COMPOSITE_MOST_DN = 3000
"""Digital number shown as white. Source: as above."""

BENCH_FILES = {
    "scene_classification_unmatched.json": "scene classification",
    "object_existence_all_unmatched.json": "object existence",
    "hallucination_detection_all_unmatched.json": "hallucination detection",
    "object_counting_all_unmatched.json": "object counting",
    "spatial_relationship_all_unmatched.json": "spatial relationship",
    "caption_all_unmatched.json": "image captioning",
    "disaster_all_unmatched.json": "disaster forecasting",
    "Navigation_all_unmatched.json": "route planning",
    "urban_all_unmatched.json": "urban development",
}
"""Question files of EarthMind-Bench: five of multiple choice, then four of open questions."""

NUM_CHOICE_FILES = 5


def write_bigearthnet_folders(s2: Path, s1: Path, *, split: Path, scenes: MadeScenes) -> None:
    """BigEarthNet-MM (version 1) as released: `<patch>/<patch>_B01.tif` ... with `<patch>_labels_metadata.json`, S1 likewise, and the csv.

    The files of Sentinel-1 name their Sentinel-2 patch, and the csv names both; those of Sentinel-2 name no partner. Source: descriptions
    of BigEarthNet-S1 and -S2 (bigearth.net).
    """
    rows = []
    for number, scene in enumerate(scenes.scenes):
        patch, partner = f"S2A_MSIL2A_20170613T101031_{number}_{number}", f"S1A_IW_GRDH_1SDV_20170613T165043_33UUP_{number}_{number}"
        labels = [CLC_LABELS[number % 5], CLC_LABELS[(number + 2) % 5], CLC_LABELS[5]]
        shared = {
            "labels": labels,
            "coordinates": {"ulx": 300000, "uly": 5100000, "lrx": 301200, "lry": 5098800},
            "projection": "EPSG:32633",
        }
        optical = {
            "tile_source": "S2A_MSIL1C_20170613T101031_N0205_R022_T33UUP_20170613T101608.SAFE",
            "acquisition_date": "2017-06-13 10:10:31",
        }
        radar = {
            "corresponding_s2_patch": patch,
            "scene_source": "S1A_IW_GRDH_1SDV_20170613T165043_20170613T165108_017018_01C5AF_60B9",
            "acquisition_time": "2017-06-13T16:50:43",
        }
        save_bands(s2 / patch, scene, prefix=f"{patch}_")
        save_json(s2 / patch / f"{patch}_labels_metadata.json", {**shared, **optical})
        save_sar_bands(s1 / partner, scene, prefix=f"{partner}_")
        save_json(s1 / partner / f"{partner}_labels_metadata.json", {**shared, **radar})
        rows.append(f"{patch},{partner}\n")
    split.parent.mkdir(parents=True, exist_ok=True)
    split.write_text("".join(rows), encoding="utf-8")


def write_bigearthnet_v2(s2: Path, s1: Path, *, scenes: MadeScenes) -> list[dict[str, Any]]:
    """BigEarthNet version 2 as released: `<tile>/<patch>/<patch>_B01.tif` without JSON files, S1 likewise; returns metadata.parquet's rows.

    Source: Clasen et al. 2025, reBEN, and the columns of its metadata.parquet.
    """
    rows = []
    for number, scene in enumerate(scenes.scenes):
        tile, radar = "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP", "S1B_IW_GRDH_1SDV_20170612T165809"
        patch, partner = f"{tile}_{number:02d}_{number:02d}", f"{radar}_33UUP_{number:02d}_{number:02d}"
        save_bands(s2 / tile / patch, scene, prefix=f"{patch}_")
        save_sar_bands(s1 / radar / partner, scene, prefix=f"{partner}_")
        about = {"split": "train" if number == 0 else "test", "country": "Austria", "s1_name": partner, "s2v1_name": patch}
        snow = {"contains_seasonal_snow": False, "contains_cloud_or_shadow": False}
        rows.append({"patch_id": patch, "labels": ["Arable land", "Inland waters"], **about, **snow})
    return rows


def write_patches(folder: Path, scenes: MadeScenes, *, classes: Sequence[str], num_labels: int, reflectance: Sequence[str] = ()) -> None:
    """test.jsonl with s2/, s1/ and rgb/: what tools/prepare/bigearthnet.py and so2sat.py write.

    Args:
        folder: to write to.
        scenes: of the patches.
        classes: of the set.
        num_labels: labels of a patch.
        reflectance: bands to write as reflectance; () = all twelve as digital numbers.
    """
    lines = []
    for number, scene in enumerate(scenes.scenes):
        name = f"patch_{number:04d}"
        _save_optical(folder / "s2" / f"{name}.tif", scene, reflectance=reflectance)
        sar = 10 ** (scene.sar / 10) if reflectance else scene.sar
        save_layers(folder / "s1" / f"{name}.tif", sar.astype(np.float32), names=SAR_BANDS)
        save_picture(folder / "rgb" / f"{name}.png", rgb_picture(scene))
        labels = [classes[(number + 5 * index) % len(classes)] for index in range(num_labels)]
        lines.append({"image": name, "labels": labels})
    save_lines(folder / "test.jsonl", lines)


def _save_optical(path: Path, scene: SyntheticScene, *, reflectance: Sequence[str]) -> None:
    if reflectance:
        chosen = [OPTICAL_BANDS.index(band) for band in reflectance]
        save_layers(path, scene.optical[chosen].astype(np.float32), names=reflectance)
    else:
        save_layers(path, digital_numbers(scene.optical).astype(np.uint16), names=OPTICAL_BANDS)


def write_class_bands(root: Path, scenes: MadeScenes, *, classes: Sequence[str], bands: Sequence[str]) -> None:
    """`root/<Class>/<Class>_<n>.tif` of unnamed layers in the order of `bands`; the cirrus band, which the scenes lack, is a faint copy of
    B09."""
    for number, label in enumerate(classes):
        digital = digital_numbers(scenes[number].optical).astype(np.uint16)
        named = dict(zip(OPTICAL_BANDS, digital, strict=True)) | {"B10": digital[OPTICAL_BANDS.index("B09")] // 20 + 1}
        save_layers(root / label / f"{label}_{number + 1}.tif", np.stack([named[band] for band in bands]))


def write_composites(folder: Path, scenes: MadeScenes, *, classes: Sequence[str]) -> None:
    """ms_test.jsonl and rgb_images/<patch>/rgb_1.png ... rgb_4.png, as EarthMind reads BigEarthNet; answers are letters."""
    options = "\n".join(f"{chr(ord('A') + index)}. {label}" for index, label in enumerate(classes))
    question = f"Which of these classes are in the image?\n{options}\nAnswer with the letters."
    lines = []
    for number, scene in enumerate(scenes.scenes):
        digital = digital_numbers(scene.optical).astype(np.float64)
        pixels = np.rint(255 * (digital / COMPOSITE_MOST_DN).clip(0, 1)).astype(np.uint8)
        for index, bands in enumerate(COMPOSITES, start=1):
            save_picture(folder / "rgb_images" / f"patch_{number}" / f"rgb_{index}.png", np.moveaxis(pixels[list(bands)], 0, -1))
        letters = sorted({chr(ord("A") + (number + 3 * index) % len(classes)) for index in range(2)})
        lines.append({"id": number, "image": f"patch_{number}.png", "question": question, "answer": ", ".join(letters)})
    save_lines(folder / "ms_test.jsonl", lines)


def write_earthmind_bench(root: Path, scenes: MadeScenes) -> None:
    """EarthMind-Bench/json/*.json with img/test/{rgb,sar}/img/*.png; images are named after JSON files, but for those of all bands."""
    for number, scene in enumerate(scenes.scenes):
        save_picture(root / "img/test/rgb/img" / f"{number:04d}.png", rgb_picture(scene))
        save_picture(root / "img/test/sar/img" / f"{number:04d}.png", sar_picture(scene))
    for index, (name, kind) in enumerate(BENCH_FILES.items()):
        make = _choice if index < NUM_CHOICE_FILES else _open
        entries = [entry for number in range(len(scenes)) for entry in make(number, scenes[number], kind=kind)]
        save_json(root / "json" / name, entries)
    _write_multispectral_bench(root, scenes)


def _write_multispectral_bench(root: Path, scenes: MadeScenes) -> None:
    """json/ms_scene_classification_qa.json with img/test/ms_sar/ms/img/<name>_Bxx.tif and .../sar/img/<name>.png."""
    entries = []
    for number, scene in enumerate(scenes.scenes):
        name = f"patch_{number:04d}"
        save_bands(root / "img/test/ms_sar/ms/img", scene, prefix=f"{name}_")
        save_picture(root / "img/test/ms_sar/sar/img" / f"{name}.png", sar_picture(scene))
        entries += [{**entry, "file_name": name} for entry in _choice(number, scene, kind="scene classification")]
    save_json(root / "json" / "ms_scene_classification_qa.json", entries)


def _choice(number: int, scene: SyntheticScene, *, kind: str) -> list[Mapping[str, Any]]:
    return [
        {
            "file_name": f"{number:04d}.json",
            "question": choice.text,
            "candidate": list(choice.candidates),
            "answer": choice.answer,
            "task_type": kind,
        }
        for choice in scene.questions.choices[:1]
    ]


def _open(number: int, scene: SyntheticScene, *, kind: str) -> list[Mapping[str, Any]]:
    return [
        {"file_name": f"{number:04d}.json", "question": f"What does this place tell about {kind}?", "answer": text, "task_type": kind}
        for text in scene.questions.captions[:1]
    ]
