"""A user's own files, one form for each task."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eocore.data.dataset import SampleKey
from eocore.data.io.masks import encode_rle
from eocore.errors import AnnotationError, ConfigError
from eocore.evaluate.benchmarks.custom import PROMPTS, custom_benchmark
from eocore.evaluate.engine.benchmark_run import adapt
from eocore.evaluate.engine.predicting import describe
from eocore.evaluate.engine.run_options import RunOptions
from eocore.synthetic.spectra import OPTICAL_BANDS, digital_numbers
from eocore.synthetic.test_sets.images import make_scenes, save_layers

MASK = np.zeros((64, 64), bool)
MASK[10:20, 30:50] = True
TRUTHS: dict[str, dict[str, Any]] = {
    "vqa": {"question": "How many?", "answer": 2},
    "mcq": {"question": "What?", "candidates": ["road", "lake"], "answer": "lake"},
    "classification": {"candidates": ["road", "lake"], "label": "lake"},
    "multilabel": {"candidates": ["road", "lake", "sea"], "labels": ["road", "sea"]},
    "caption": {"references": ["A lake.", "Water."]},
    "retrieval": {"references": ["A lake.", "Water."]},
    "region": {"references": ["a lake"], "box": [30, 10, 50, 20]},
    "grounding": {"phrase": "the lake", "boxes": [[10, 20, 30, 40]]},
    "detection": {"question": "Find all ships.", "boxes": [[10, 20, 30, 40], [1, 2, 3, 4]]},
    "referring": {"phrase": "the lake", "mask": encode_rle(MASK)},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scene = make_scenes(1, size=64, seed=0)[0]
    Image.new("RGB", (64, 64), (10, 90, 20)).save(tmp_path / "a.png")
    save_layers(tmp_path / "sar.tif", scene.sar, names=("VV", "VH"))
    return tmp_path


def own(folder: Path, task: str, *entries: dict[str, Any]) -> Any:
    file = folder / "own.jsonl"
    file.write_text("".join(json.dumps({"sample_id": "1", "image": "a.png", **entry}) + "\n" for entry in entries))
    benchmark = custom_benchmark(f"custom:{task}:{file}")
    return benchmark, benchmark(data_root="")


@pytest.mark.parametrize("task", list(PROMPTS))
def test_every_task_has_its_form(folder: Path, task: str) -> None:
    benchmark, source = own(folder, task, TRUTHS[task])
    record, scenes, _ = source.load(SampleKey(0, 0))
    line = describe(record, scenes, setting="optical")
    assert (line.task, line.sample_id, list(benchmark.settings)) == (task, "1", ["optical"])
    assert "{" not in record.turns[0].text
    assert (len(line.ground_truth_masks), len(record.regions)) == (task == "referring", task == "region")
    assert line.ground_truth or task == "referring"


def test_every_task_has_an_example_here() -> None:
    assert set(TRUTHS) == set(PROMPTS)


def test_several_sensors_give_several_settings(folder: Path) -> None:
    images = {"rgb": "a.png", "sar": {"path": "sar.tif", "sensor": "sentinel1_grd"}}
    benchmark, source = own(folder, "vqa", {**TRUTHS["vqa"], "images": images})
    assert benchmark.settings == {"optical": ["rgb"], "sar": ["sar"], "fused": ["rgb", "sar"]}
    assert source.load(SampleKey(0, 0))[1][1].bands == ("VV", "VH")


def test_the_order_of_the_lines_does_not_decide_what_fused_shows(folder: Path) -> None:
    sar = {"path": "sar.tif", "sensor": "sentinel1_grd"}
    save_layers(folder / "ms.tif", digital_numbers(make_scenes(1, size=64, seed=0)[0].optical), names=OPTICAL_BANDS)
    pair = {"sample_id": "1", "images": {"rgb": "a.png", "sar": sar}}
    bands = {"sample_id": "2", "images": {"multispectral": {"path": "ms.tif", "sensor": "sentinel2_l2a"}, "sar": sar}}
    for first, second in ((pair, bands), (bands, pair)):
        benchmark, _ = own(folder, "vqa", {**TRUTHS["vqa"], **first}, {**TRUTHS["vqa"], **second})
        assert benchmark.settings["fused"] == ["multispectral", "sar"]
        assert list(benchmark.settings) == ["optical", "sar", "multispectral", "fused"]


def test_a_model_that_shows_positions_by_masks_is_asked_for_one(folder: Path) -> None:
    options = RunOptions(model=folder, system="any", out=folder, boxes_by_masks=True)
    benchmark, _ = own(folder, "grounding", TRUTHS["grounding"])
    record = adapt(benchmark, options)(data_root="").records[0]
    assert record.turns[0].text.endswith("Please segment the lake in this image.")


def test_a_phrase_without_target(folder: Path) -> None:
    _, source = own(folder, "referring", {"phrase": "a bridge", "mask": None})
    record, scenes, _ = source.load(SampleKey(0, 0))
    assert describe(record, scenes, setting="optical").ground_truth_masks == ()


@pytest.mark.parametrize(
    ("task", "entry", "message"),
    [
        ("vqa", {"question": "What?"}, "no field 'answer'"),
        ("vqa", {"answer": "yes"}, "a vqa entry needs a 'question'"),
        ("mcq", {"question": "What?", "answer": "x", "candidates": [1]}, "'candidates' must be a list of texts"),
        ("region", {"references": ["x"], "mask": None}, "a region needs a 'mask' or a 'box'"),
        ("referring", {"phrase": "x"}, "no field 'mask' or 'box'"),
        ("grounding", {"phrase": "x", "boxes": "none"}, "is no box"),
        ("vqa", {**TRUTHS["vqa"], "images": {"Infra red": "a.png"}}, "expected an object whose keys are roles such as rgb"),
        ("vqa", {**TRUTHS["vqa"], "images": {"multispectral": "a.tif"}}, "A file alone does not tell its sensor"),
        ("vqa", {**TRUTHS["vqa"], "image": "../a.png"}, "no relative path inside"),
    ],
)
def test_faults_name_file_and_line(folder: Path, task: str, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=rf"own.jsonl:1.*{message}"):
        own(folder, task, entry)


def test_duplicate_ids_are_refused(folder: Path) -> None:
    with pytest.raises(AnnotationError, match=r"own.jsonl:2: sample id '1' is taken by"):
        own(folder, "vqa", TRUTHS["vqa"], TRUTHS["vqa"])


@pytest.mark.parametrize("name", ["custom:vqa", "custom:counting:x.jsonl", "custom:vqa:x.csv"])
def test_the_name_has_a_form(name: str) -> None:
    with pytest.raises(ConfigError, match=r"expected custom:TASK:FILE.jsonl"):
        custom_benchmark(name)
