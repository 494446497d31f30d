"""The four tasks are asked with their prefixes, on the synthetic world as its config reads it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aerith.datasets import prompts
from eocore.config import load_config
from eocore.data import registered  # noqa: F401  (registers the datasets)
from eocore.data.dataset import SampleKey, build_dataset
from eocore.errors import DataError
from eocore.evaluate import datasets as _datasets  # noqa: F401  (registers those of evaluation)
from eocore.synthetic.chips import write_chips
from eocore.synthetic.world import write_world

BASE = Path(__file__).parents[3] / "configs" / "_base_" / "datasets" / "aerith_synthetic.py"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("world")
    write_world(root, {"train": 6, "val": 6, "test": 6}, size=64)
    write_chips(root / "chips", {"train": 10, "val": 10, "test": 10})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNTHETIC_ROOT", str(root))
        return load_config(BASE)


def drawn(data: Any) -> list[Any]:
    dataset = build_dataset(data)
    return [dataset.draw(SampleKey(0, index), np.random.default_rng(index))[0] for index in range(len(dataset))]


def test_classes(config: Any) -> None:
    records = drawn(config.train_classes)
    listed = "water, forest, cropland, buildings, bare ground, grass, snow"
    assert len(records) == 7  # of ten chips, one a class, three are of classes that look like others
    for record in records:
        asked, answer = (turn.text for turn in record.turns)
        assert asked == f"<image>\n[CLS] Choose the best categories describe the image from: {listed}" and answer in listed


@pytest.mark.parametrize(("name", "prefix"), [("train_questions", "[VQA] "), ("train_captions", "[CAP] "), ("train_boxes", "[VG] ")])
def test_scenes_without_clouds_are_asked_with_the_prefix(config: Any, name: str, prefix: str) -> None:
    records = drawn(config[name])
    assert records
    for record in records:
        assert record.meta["cloudy"] is False
        assert record.turns[0].text.startswith(f"<image>\n{prefix}") and record.turns[0].text.count(prefix) == 1


def test_boxes_lie_in_the_image(config: Any) -> None:
    for record in drawn(config.train_boxes):
        ((x0, y0, x1, y1),) = record.meta["boxes"]
        assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
        assert [float(part) for part in record.turns[1].text.strip("[]").split(",")] == pytest.approx([x0, y0, x1, y1], abs=0.0501)


def test_captions_of_chips_stand_alone(config: Any) -> None:
    assert all(record.turns[0].text == "<image>" for record in drawn(config.train_chip_captions))


def test_evaluation_asks_all_four_tasks(config: Any) -> None:
    tasks = [{record.task for record in drawn(data)} for data in config.evaluation.datasets]
    assert tasks == [{"classification"}, {"vqa"}, {"caption"}, {"grounding"}]


def test_one_transform_asks_each_record_its_own_task(config: Any) -> None:
    records = [drawn({**config[name], "transforms": []})[0] for name in ("train_classes", "train_questions", "train_boxes")]
    ask = prompts.AerithTasks(decimals=3)
    asked = [ask(record, np.random.default_rng(0)).turns for record in records]
    assert [turns[0].text.split("\n")[1].split(" ")[0] for turns in asked] == ["[CLS]", "[VQA]", "[VG]"]
    assert len(asked[2][1].text.split(",")[0]) == len("[0.123")
    with pytest.raises(DataError, match="has the task 'chat'"):
        ask(replace(records[1], task="chat"), np.random.default_rng(0))


def test_captions_of_karpathy_files_are_drawn_and_asked(tmp_path: Path) -> None:
    texts = [f"caption {number}" for number in range(3)]
    entry = {"filename": "a.tif", "split": "train", "sentences": [{"raw": text} for text in texts]}
    (tmp_path / "dataset.json").write_text(json.dumps({"images": [entry]}))
    images = {"rgb": {"root": str(tmp_path), "pattern": "{name}", "sensor": "rgb_uint8"}}
    source = {"type": "KarpathyCaptionDataset", "annotations": str(tmp_path / "dataset.json"), "images": images, "split": "train"}
    dataset = build_dataset({**source, "transforms": [{"type": "AerithCaption"}]})
    said = {dataset.draw(SampleKey(0, 0), np.random.default_rng(seed))[0].turns[1].text for seed in range(20)}
    asked = dataset.draw(SampleKey(0, 0), np.random.default_rng(0))[0].turns[0].text
    assert (said, asked) == (set(texts), "<image>\n[CAP] Describe this satellite image.")
