"""annotations.json: what is written is read, every task as its transform needs it, and each breach of the schema is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eocore.data.dataset import SampleKey
from eocore.data.formats.entries import collecting_faults
from eocore.data.formats.task_annotations import (
    CaptionAnnotation,
    ClassAnnotation,
    PhraseAnnotation,
    QuestionAnnotation,
    TaskAnnotationsDataset,
    write_task_annotations,
)
from eocore.errors import AnnotationError, ConfigError, DataError

ENTRIES = (
    ClassAnnotation(image="a.png", label="park", split="train"),
    QuestionAnnotation(image="a.png", question="Is it?", answer="yes", type="presence", split="test"),
    CaptionAnnotation(image="b.png", captions=["one park", "a park"], split="train"),
    PhraseAnnotation(image="b.png", phrase="the lake", box=(0.25, 0.5, 0.5, 1.0), size=(40, 80), split="test"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((40, 80, 3), np.uint8)).save(tmp_path / "images" / name)
    assert write_task_annotations(tmp_path, ENTRIES, classes=["park", "river"]) == {"train": 2, "test": 2}
    return tmp_path


def dataset(folder: Path, **options: Any) -> TaskAnnotationsDataset:
    return TaskAnnotationsDataset(annotations=str(folder / "annotations.json"), images={}, **options)


def test_each_task_holds_what_its_transform_needs(folder: Path) -> None:
    park, question, caption, lake = dataset(folder).records
    assert park.labels == ("park",) and park.meta["candidates"] == ["park", "river"] and park.meta["split"] == "train"
    assert [turn.text for turn in question.turns] == ["<image>\nIs it?", "yes"] and question.meta["type"] == "presence"
    assert caption.captions == ("one park", "a park") == tuple(caption.meta["references"])
    assert lake.expressions[0].mask is not None and lake.expressions[0].mask.data == [20, 20, 40, 40]
    assert lake.meta["boxes"] == [[0.25, 0.5, 0.5, 1.0]] and lake.meta["image_size"] == [40, 80]
    assert dataset(folder).load(SampleKey(0, 3))[1][0].size == (40, 80)


def test_tasks_and_splits_are_chosen(folder: Path) -> None:
    assert [record.task for record in dataset(folder, split="test").records] == ["vqa", "grounding"]
    assert [record.task for record in dataset(folder, tasks=["caption", "vqa"]).records] == ["vqa", "caption"]
    with pytest.raises(DataError, match=r"no entry of split 'val' and tasks \[\]; it has caption \(train\), classification \(train\)"):
        dataset(folder, split="val")
    with pytest.raises(ConfigError, match="tasks must be some of classification, vqa, caption, grounding, found masks"):
        dataset(folder, tasks=["masks"])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"task": "mask", "image": "a.png"}, "'task' is 'mask', expected one of classification, vqa"),
        ({"task": "vqa", "image": "a.png", "question": "Is it?"}, r"annotations#0: lacks answer\. Correct the entry; data/README\.md"),
        ({"task": "classification", "image": "a.png", "label": "park", "box": []}, "has the unknown box"),
        ({"task": "classification", "image": "a.png", "label": "sea"}, r"class 'sea' is none of the file's 'classes'"),
        ({"task": "caption", "image": "a.png", "captions": []}, "field captions"),
        ({"task": "caption", "image": "a.png", "captions": ["<image> lake"]}, "a text that is not empty, without <image>"),
        ({"task": "grounding", "image": "a.png", "phrase": "x", "box": [0.5, 0, 0.4, 1], "size": [9, 9]}, "0 <= x0 < x1 <= 1"),
        ({"task": "grounding", "image": "a.png", "phrase": "x", "box": [0, 0, 40, 40], "size": [9, 9]}, "in fractions of the image"),
        ({"task": "grounding", "image": "a.png", "phrase": "x", "box": [0, 0, 0.5, 1]}, "lacks size"),
    ],
)
def test_breaches_of_the_schema_are_named(folder: Path, entry: dict[str, Any], message: str) -> None:
    (folder / "annotations.json").write_text(json.dumps({"classes": ["park"], "annotations": [entry]}))
    with pytest.raises(DataError, match=message):
        dataset(folder)


def test_broken_entries_are_counted_where_they_may_be_left_out(folder: Path) -> None:
    content = json.loads((folder / "annotations.json").read_text())
    content["annotations"][0]["label"] = "sea"
    del content["annotations"][3]["size"]
    (folder / "annotations.json").write_text(json.dumps(content))
    with collecting_faults():
        source = dataset(folder)
    assert len(source) == 2 and len(source.entry_faults) == 2


def test_nothing_wrong_is_written(tmp_path: Path) -> None:
    reversed_box = PhraseAnnotation(image="a.png", phrase="x", box=(0.5, 0.0, 0.4, 1.0), size=(9, 9))
    with pytest.raises(AnnotationError, match=r"annotations#0, image a\.png: field box: expected \[x0, y0, x1, y1\]"):
        write_task_annotations(tmp_path, [reversed_box])
    with pytest.raises(DataError, match="there is nothing to write"):
        write_task_annotations(tmp_path, [])
    assert not list(tmp_path.iterdir())
