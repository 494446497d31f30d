"""Patches of several sensors."""

import json
from pathlib import Path

import pytest

from eocore.errors import AnnotationError
from eocore.evaluate.benchmarks.multispectral import BIGEARTHNET_19, LCZ_17, LabelledPatchDataset, lettered

IMAGES = {"multispectral": {"root": "/nowhere", "pattern": "{name}.tif", "sensor": "sentinel2_l2a"}}


def patches(tmp_path: Path, *labels: str, task: str = "multilabel") -> LabelledPatchDataset:
    (tmp_path / "test.jsonl").write_text(json.dumps({"image": "p", "labels": list(labels)}))
    return LabelledPatchDataset(annotations=str(tmp_path / "test.jsonl"), images=IMAGES, classes=BIGEARTHNET_19, task=task)  # type: ignore[arg-type]


def test_bigearthnet(load, first) -> None:
    record, scenes = first(load("bigearthnet"))
    assert set(scenes) == {"rgb", "multispectral", "sar"}
    assert len(scenes["multispectral"].bands) == 12
    assert record.task == "multilabel"
    assert record.meta["labels"] == ["Urban fabric", "Complex cultivation patterns"]
    assert "\nS. Marine waters\n" in record.turns[0].text


def test_so2sat(load, first) -> None:
    record, scenes = first(load("so2sat"))
    assert record.task == "classification"
    assert record.meta["answer"] in LCZ_17
    assert "B8A" in scenes["multispectral"].bands
    assert "B01" not in scenes["multispectral"].bands
    assert -40 < scenes["sar"].pixels.mean() < 0


def test_the_numbers_of_classes() -> None:
    assert (len(set(BIGEARTHNET_19)), len(set(LCZ_17))) == (19, 17)
    assert lettered(BIGEARTHNET_19).splitlines()[0] == "A. Urban fabric"


def test_a_foreign_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"test.jsonl:1: labels \['Forest'\]; expected some of Urban fabric"):
        patches(tmp_path, "Forest")


def test_two_labels_are_no_classification(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="expected one of Urban fabric"):
        patches(tmp_path, "Pastures", "Mixed forest", task="classification")
