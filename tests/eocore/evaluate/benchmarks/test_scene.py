"""Scene classes: folders and question files."""

import json
from pathlib import Path

import pytest

from eocore.errors import AnnotationError, DataError
from eocore.evaluate.benchmarks.scene import AID, EUROSAT_BANDS, SceneFolderDataset, SceneQuestionDataset
from eocore.text import display_name

IMAGES = {"rgb": {"root": "/nowhere", "pattern": "{name}", "sensor": "rgb_uint8"}}


def questions(tmp_path: Path, *entries: dict) -> SceneQuestionDataset:
    file = tmp_path / "aid.jsonl"
    file.write_text("".join(json.dumps({"question_id": 1, "text": "Which?", **entry}) + "\n" for entry in entries))
    return SceneQuestionDataset(annotations=str(file), images=IMAGES, classes=AID)


@pytest.mark.parametrize(("name", "count"), [("aid", 30), ("ucmerced", 21), ("whu_rs19", 19), ("eurosat", 10)])
def test_published_layouts(load, first, name: str, count: int) -> None:
    source = load(name)
    assert len(source) == count
    record, scenes = first(source)
    assert record.task == "classification"
    assert scenes["rgb"].size == (64, 64)
    assert record.meta["answer"] in record.meta["candidates"]
    assert len({record.meta["answer"] for record in source.records}) == count


def test_eurosat_bands_are_named_in_the_order_of_its_files(load, first) -> None:
    _, scenes = first(load("eurosat_ms"))
    assert scenes["multispectral"].bands == tuple(EUROSAT_BANDS)
    assert scenes["multispectral"].bands[-1] == "B8A"
    assert scenes["multispectral"].unit == "reflectance"


def test_the_question_lists_all_classes(load) -> None:
    text = load("eurosat").records[0].turns[0].text
    assert "herbaceous vegetation" in text
    assert "sea lake" in text
    assert text.startswith("<image>\n")


def test_characters_after_the_class_are_no_part_of_it(load) -> None:
    assert load("aid").records[1].meta["answer"] == "BareLand"


def test_a_ground_truth_against_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"aid.jsonl:1: ground_truth 'Beach' and image 'Airport/a.jpg' name no one class"):
        questions(tmp_path, {"image": "Airport/a.jpg", "ground_truth": "Beach"})


def test_an_unknown_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"neither a ground_truth nor a class folder in 'x.jpg'"):
        questions(tmp_path, {"image": "x.jpg"})


def test_the_same_image_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"aid.jsonl:2: sample id 'Airport/a.jpg' is taken by .*aid.jsonl:1"):
        questions(tmp_path, {"image": "Airport/a.jpg"}, {"image": "Airport/a.jpg"})


def test_missing_class_folders_are_named(tmp_path: Path) -> None:
    (tmp_path / "Beach").mkdir()
    with pytest.raises(DataError, match="no folder for Airport; found Beach"):
        SceneFolderDataset(annotations=str(tmp_path), images=IMAGES, classes=["Airport", "Beach"])


def test_display_names() -> None:
    assert [display_name(label) for label in ("BareLand", "sea_ice", "mediumresidential")] == ["bare land", "sea ice", "mediumresidential"]
