"""Entries about series: images with times, masks and regions on any of them, and what breaks the form."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eocore.data import registered as _registered  # noqa: F401
from eocore.data.formats.series import SeriesDataset
from eocore.errors import AnnotationError, ConfigError
from eocore.registry import DATASETS

FIRST, SECOND = "2021-03-04", "2021-06-01"
RING = [[0, 0, 4, 0, 4, 4]]


def entry(**changes: Any) -> dict[str, Any]:
    images = [{"path": f"{time}.png", "sensor": "rgb_uint8", "time": time} for time in (FIRST, SECOND)]
    turns = [{"from": "human", "value": "<image>\nSegment what changed."}, {"from": "gpt", "value": "[SEG] water"}]
    masks = [{"segmentation": RING, "image": 1}]
    return {"id": "a", "images": {"rgb": images}, "conversations": turns, "masks": masks, "type": "change", **changes}


def build(tmp_path: Path, *entries: dict[str, Any], **settings: Any) -> SeriesDataset:
    (tmp_path / "series.json").write_text(json.dumps(entries))
    dataset: SeriesDataset = DATASETS.build({"type": "SeriesDataset", "annotations": str(tmp_path / "series.json"), **settings})
    return dataset


def test_an_entry_becomes_a_record(tmp_path: Path) -> None:
    (record,) = build(tmp_path, entry(candidates=[FIRST, SECOND]), task="referring").records
    assert [(ref.role, ref.time, Path(ref.paths[0]).name) for ref in record.images] == [
        ("rgb", FIRST, f"{FIRST}.png"),
        ("rgb", SECOND, f"{SECOND}.png"),
    ]
    assert [turn.text for turn in record.turns] == ["<image>\nSegment what changed.", "[SEG] water"]
    assert [mask.image for mask in record.masks] == [1] and record.task == "referring"
    assert record.meta == {"type": "change", "answer": "[SEG] water", "candidates": (FIRST, SECOND)}


def test_images_of_several_roles_are_put_in_the_order_of_their_dates(tmp_path: Path) -> None:
    sar = [{"path": "s.tif", "sensor": "sentinel1_grd", "time": "2021-04-01"}]
    (record,) = build(tmp_path, entry(images={**entry()["images"], "sar": sar})).records
    assert [ref.time for ref in record.images] == [FIRST, "2021-04-01", SECOND]


def test_masks_count_dates_not_images(tmp_path: Path) -> None:
    sar = [{"path": f"{time}.tif", "sensor": "sentinel1_grd", "time": time} for time in (FIRST, SECOND)]
    (record,) = build(tmp_path, entry(images={**entry()["images"], "sar": sar})).records
    assert record.images[record.masks[0].image].time == SECOND and len(record.images) == 4


def test_masks_and_regions_count_days_whatever_the_hour(tmp_path: Path) -> None:
    sar = [{"path": f"{time}.tif", "sensor": "sentinel1_grd", "time": f"{time}T17:02"} for time in (FIRST, SECOND)]
    turns = [{"from": "human", "value": "Segment region1<region>."}, {"from": "gpt", "value": "[SEG] water"}]
    made = entry(images={**entry()["images"], "sar": sar}, regions=entry()["masks"], conversations=turns)
    (record,) = build(tmp_path, made).records
    assert [record.images[one.image].time for one in (*record.masks, *record.regions)] == [SECOND, SECOND]
    with pytest.raises(AnnotationError, match=r"image 2, but the entry has images of 2 dates"):
        build(tmp_path, entry(images={**entry()["images"], "sar": sar}, masks=[{"segmentation": RING, "image": 2}]))


def test_a_region_question_holds_its_place(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "What is region1<region>?"}, {"from": "gpt", "value": "water"}]
    made = entry(conversations=turns, regions=[{"segmentation": RING, "image": 0}])
    del made["masks"]
    (record,) = build(tmp_path, made, task="region").records
    assert record.turns[0].text == "<image>\nWhat is region1<region>?" and record.regions[0].image == 0


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([SECOND, FIRST], rf"series\.json#0, images of role rgb: {FIRST} is earlier than the image before it"),
        ([FIRST, FIRST], rf"{FIRST} is the same moment as the image before it"),
        ([FIRST, ""], r"image 2 of 2 has no date"),
        ([FIRST, "later"], r"images.rgb.time is 'later'; expected an ISO 8601 date"),
    ],
)
def test_dates_missing_equal_or_out_of_order_are_refused(tmp_path: Path, images: list[str], message: str) -> None:
    listed = [{"path": f"{number}.png", "sensor": "rgb_uint8", "time": time} for number, time in enumerate(images)]
    with pytest.raises(AnnotationError, match=message):
        build(tmp_path, entry(images={"rgb": listed}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masks": [{"segmentation": RING, "image": 2}]}, r"masks\[0\]: image 2, but the entry has images of 2 dates"),
        ({"masks": [{"segmentation": "no"}]}, r"a segmentation must be a list of rings"),
        ({"conversations": [{"from": "human", "value": "a"}]}, r"the conversation ends with a question"),
        ({"conversations": [{"from": "gpt", "value": "a"}, {"from": "gpt", "value": "b"}]}, r"human and gpt take turns"),
        (
            {"conversations": [{"from": "human", "value": "<image><image>"}, {"from": "gpt", "value": "b"}], "masks": []},
            r"<image> stands 2 times; in a series it stands once",
        ),
    ],
)
def test_what_breaks_the_form_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    made = {key: value for key, value in entry(**changes).items() if value != []}
    with pytest.raises(AnnotationError, match=message):
        build(tmp_path, made)


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"task must be one of vqa, mcq"):
        build(tmp_path, entry(), task="detection")
    with pytest.raises(ConfigError, match=r"name their images; leave `images` out"):
        build(tmp_path, entry(), images={"rgb": {"root": ".", "sensor": "rgb_uint8"}})


def test_a_mask_follows_its_image_when_others_are_left_out(tmp_path: Path) -> None:
    sar = [{"path": f"{time}.tif", "sensor": "sentinel1_grd", "time": time} for time in (FIRST, SECOND)]
    choose = {"type": "ChooseModalities", "settings": {"sar": ["sar"]}}
    data = build(tmp_path, entry(images={**entry()["images"], "sar": sar}), transforms=[choose])
    record = data.transform(data.records[0], np.random.default_rng(0))
    assert [ref.role for ref in record.images] == ["sar", "sar"] and record.images[record.masks[0].image].time == SECOND
