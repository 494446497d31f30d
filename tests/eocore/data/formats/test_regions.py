"""Region captions of both published forms."""

import json
from pathlib import Path
from typing import Any

import pytest

from eocore.data.formats.regions import CocoRegionDataset, OspreyRegionDataset
from eocore.errors import AnnotationError, ConfigError

RING = [[0, 0, 4, 0, 4, 4]]
OTHER = [[5, 5, 9, 5, 9, 9]]
ENTRY = {
    "file_name": "p.png",
    "height": 12,
    "width": 16,
    "description": ["a lake", "a hill"],
    "annotation": [{"segmentation": RING}, {"segmentation": {"size": [12, 16], "counts": "abc"}}],
    "cloudy": True,
}
COCO = {
    "images": [{"id": 1, "file_name": "p.png", "height": 12, "width": 16, "caption": "a lake"}],
    "annotations": [{"id": 5, "image_id": 1, "segmentation": RING}],
}


def images(tmp_path: Path) -> dict[str, dict[str, Any]]:
    return {"rgb": {"root": str(tmp_path), "pattern": "{name}", "sensor": "rgb_uint8"}}


def osprey(tmp_path: Path, *entries: Any, **settings: Any) -> OspreyRegionDataset:
    (tmp_path / "region.json").write_text(json.dumps(entries))
    return OspreyRegionDataset(annotations=str(tmp_path / "region.json"), images=images(tmp_path), **settings)


def coco(tmp_path: Path, content: Any, **settings: Any) -> CocoRegionDataset:
    (tmp_path / "rsvg_test.json").write_text(json.dumps(content))
    return CocoRegionDataset(annotations=str(tmp_path / "rsvg_test.json"), images=images(tmp_path), **settings)


def test_each_region_is_asked_about_alone(tmp_path: Path) -> None:
    first, second = osprey(tmp_path, ENTRY).records
    assert [turn.text for turn in first.turns] == [
        "<image>\nThere are 1 part regions in the picture: region1<region>.\n"
        "Please give me a short description of the region in the picture marked by region1.",
        "a lake",
    ]
    assert first.regions[0].data == RING
    assert (second.turns[1].text, second.regions[0].kind) == ("a hill", "rle")
    assert [first.sample_id, second.sample_id] == ["region-0-0", "region-0-1"]
    assert second.source == f"{tmp_path}/region.json#0 annotation[1]"
    assert second.meta == {"cloudy": True, "image": "p.png", "image_size": [12, 16], "answer": "a hill"}


def test_all_regions_of_an_image_make_one_conversation(tmp_path: Path) -> None:
    (record,) = osprey(tmp_path, ENTRY, group="image").records
    assert [turn.text for turn in record.turns] == [
        "<image>\nThere are 2 part regions in the picture: region1<region>, region2<region>.\n"
        "Please give me a short description of the region in the picture marked by region1.",
        "a lake",
        "Please give me a short description of the region in the picture marked by region2.",
        "a hill",
    ]
    assert [mask.kind for mask in record.regions] == ["polygon", "rle"]
    assert record.sample_id == "region-0"


def test_the_wording_comes_from_the_config(tmp_path: Path) -> None:
    (record, _) = osprey(tmp_path, ENTRY, introduction="{regions}", question="What is region{number}?").records
    assert record.turns[0].text == "<image>\nregion1<region>\nWhat is region1?"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"description": ["a lake"]}, r"region\.json#0: 1 descriptions but 2 annotations; which region each describes cannot be told"),
        ({"description": ["a lake", ""]}, r"field 'description' must be a list of texts, found \['a lake', ''\]"),
        ({"description": "a lake"}, r"field 'description' must be a list that is not empty, found 'a lake'"),
        ({"annotation": [{"segmentation": RING}, {}]}, r"region\.json#0 annotation\[1\]: a segmentation must be a list of rings"),
        ({"height": 0}, r"field 'height' must be a number of at least 1, found 0"),
        ({"width": "16"}, r"field 'width' must be a whole number, found '16'"),
        ({"description": ["a <region>", "b"]}, r"an answer holds <image> or <region>"),
    ],
)
def test_osprey_entries_that_break_the_form_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        osprey(tmp_path, ENTRY | changes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group": "scene"}, r"group must be 'region' or 'image', found 'scene'"),
        ({"question": "What?"}, r"question must hold \{number\} once"),
        ({"introduction": "Regions:"}, r"introduction must hold \{regions\} once"),
        ({"introduction": "<image> {regions}"}, r"and neither <image> nor <region>; found '<image> \{regions\}'"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        osprey(tmp_path, ENTRY, **settings)


def test_the_coco_form_takes_the_image_caption(tmp_path: Path) -> None:
    (record,) = coco(tmp_path, COCO).records
    assert (record.sample_id, record.turns[1].text, record.regions[0].data) == ("5", "a lake", RING)
    assert record.meta == {"image": "p.png", "image_size": [12, 16], "answer": "a lake"}


def test_several_regions_of_an_image_need_captions_of_their_own(tmp_path: Path) -> None:
    second = {"id": 6, "image_id": 1, "segmentation": OTHER}
    with pytest.raises(AnnotationError, match=r"annotations#1: image 1 has one caption but .*annotations#0 is another region of it"):
        coco(tmp_path, COCO | {"annotations": [*COCO["annotations"], second]})
    own = COCO | {"annotations": [*COCO["annotations"], second | {"caption": "a hill"}]}
    assert [record.turns[1].text for record in coco(tmp_path, own).records] == ["a lake", "a hill"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r"rsvg_test\.json: expected an object with images and annotations, found list"),
        ({"images": []}, r"rsvg_test\.json annotations: expected a list of objects, found NoneType"),
        (COCO | {"annotations": [{"id": 5, "image_id": 2, "segmentation": RING}]}, r"annotations#0: image_id 2 is not among the images"),
        (
            COCO | {"annotations": COCO["annotations"] + [{"id": 5, "image_id": 1, "caption": "b", "segmentation": RING}]},
            r"sample id '5' is",
        ),
    ],
)
def test_coco_files_that_break_the_form_are_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        coco(tmp_path, content)
