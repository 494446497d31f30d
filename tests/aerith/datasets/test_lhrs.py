"""LHRS-Bot's JSON files in each of their forms."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aerith.datasets.lhrs import LhrsDataset
from eocore.data.dataset import SampleKey
from eocore.data.records import Record
from eocore.errors import AnnotationError, ConfigError, DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "12.jpg", "site/naip.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "images" / name)
    return tmp_path


def read(root: Path, *entries: Any, pattern: str = "{name}", wrapped: bool = False, **options: Any) -> LhrsDataset:
    (root / "set.json").write_text(json.dumps({"data": entries} if wrapped else list(entries)))
    images = {"rgb": {"root": str(root / "images"), "pattern": pattern, "sensor": "rgb_uint8"}}
    return LhrsDataset(annotations=str(root / "set.json"), images=images, **options)


def words(record: Record) -> list[str]:
    return [turn.text for turn in record.turns]


CONVERSATION = [{"Question": "<image>\nWhat is it?", "Answer": "a park"}, {"Question": "<image> How many?", "Answer": 2}]


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("image", [{"name": "a.png"}, {"filename": ["a.png"]}, {"img": "a.png"}])
def test_conversations_show_the_image_once(root: Path, image: dict[str, Any], *, wrapped: bool) -> None:
    (record,) = read(root, {**image, "conv": CONVERSATION}, wrapped=wrapped).records
    assert words(record) == ["<image>\nWhat is it?", "a park", "How many?", "2"]
    assert record.images[0].paths == (str(root / "images/a.png"),) and record.meta["image"] == "a.png"


@pytest.mark.parametrize("answer", ["[0.1, 0.2, 0.3, 0.4]", [0.1, 0.2, 0.3, 0.4]])
def test_phrases_with_a_box_and_names_without_suffix(root: Path, answer: Any) -> None:
    (record,) = read(root, {"img": 12, "question": "the lake", "answer": answer} | {"img": "12"}, pattern="{name}.jpg").records
    assert words(record) == ["<image>\nthe lake", "[0.1, 0.2, 0.3, 0.4]"]


def test_meter_ml_names_folders(root: Path) -> None:
    (record,) = read(root, {"name": "site", "conv": CONVERSATION}, pattern="{name}/naip.png").records
    assert record.images[0].paths[0].endswith("site/naip.png")


def test_text_alone(root: Path) -> None:
    one, two = read(
        root,
        {"instruction": "What is loess?", "input": "", "output": "A sediment."},
        {"instruction": "Sum up.", "input": "Rain.", "output": "Wet."},
    ).records
    assert (words(one), one.images) == (["What is loess?", "A sediment."], ())
    assert words(two)[0] == "Sum up.\nRain."


def test_a_folder_of_caption_files_is_one_set(root: Path) -> None:
    (root / "cap").mkdir()
    for number, name in enumerate(("a.png", "b.png")):
        entry = {"name": name, "info": {"location": ["Bonn", "Germany"]}, "cap": f"caption {number} "}
        (root / "cap" / f"{number}.json").write_text(json.dumps({"data": [entry]}))
    images = {"rgb": {"root": str(root / "images"), "pattern": "{name}", "sensor": "rgb_uint8"}}
    records = LhrsDataset(annotations=str(root / "cap"), images=images, task="caption").records
    assert [record.captions for record in records] == [("caption 0",), ("caption 1",)]
    assert records[0].meta["location"] == "Bonn, Germany" and records[0].task == "caption"
    assert len({record.sample_id for record in records}) == 2


def test_all_turns_of_a_long_conversation_are_kept(root: Path) -> None:
    (record,) = read(root, {"name": "a.png", "conv": CONVERSATION * 8}).records
    assert len(record.turns) == 32


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": ["a.png", "b.png"], "conv": CONVERSATION}, r"set\.json#0: field 'name' names 2 images, expected one"),
        ({"name": "a.png"}, "none of the fields conv, question, cap and instruction"),
        ({"name": "a.png", "conv": [{"Question": "<image>", "Answer": "x"}]}, "question 0 holds no words"),
        ({"name": "a.png", "conv": [{"Question": "q"}]}, r"conv\[0\]: no field 'Answer'"),
    ],
)
def test_broken_entries_are_named(root: Path, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(root, entry)


def test_a_missing_image_is_told_where_it_is_read(root: Path) -> None:
    source = read(root, {"name": "gone.png", "conv": CONVERSATION}, {"name": "a.png", "conv": CONVERSATION})
    with pytest.raises(DataError, match=r"gone\.png"):
        source.load(SampleKey(0, 0))
    source.load(SampleKey(0, 1))


def test_options_and_folders_are_checked(root: Path) -> None:
    with pytest.raises(ConfigError, match="task must be one of chat, classification"):
        read(root, {"name": "a.png", "conv": CONVERSATION}, task="masks")
    (root / "none").mkdir()
    with pytest.raises(DataError, match=r"a folder without \.json files"):
        LhrsDataset(annotations=str(root / "none"), images={})
    with pytest.raises(AnnotationError, match="expected a list of objects"):
        (root / "set.json").write_text('{"other": []}')
        LhrsDataset(annotations=str(root / "set.json"), images={})
