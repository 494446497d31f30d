"""Change between two images: LEVIR-CD, LEVIR-CC and xBD in their layouts, and what breaks them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eocore.data.dataset import RecordDataset, SampleKey
from eocore.data.io.masks import decode_scene_mask, encode_rle
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.evaluate.benchmarks.change import ChangeFolderDataset, XbdDataset
from eocore.evaluate.benchmarks.loading import load_benchmarks
from eocore.evaluate.predictions import Prediction
from eocore.evaluate.scoring.scorers.masks import ChangeMaskScores

Load = Callable[[str], RecordDataset]


@pytest.mark.parametrize("name", ["levir_cd", "levir_cc", "xbd"])
def test_pairs_are_one_place_before_and_after(load: Load, name: str) -> None:
    source = load(name)
    record, scenes, _ = source.load(SampleKey(0, 0))
    assert [scene.role for scene in scenes] == ["rgb", "rgb"] and len({scene.time for scene in scenes}) == 2
    assert record.turns[0].text.startswith("<image>\n") and load_benchmarks()[name].suite == "change"


def test_levir_cd_asks_for_the_label_on_the_image_after(load: Load) -> None:
    record, scenes, _ = load("levir_cd").load(SampleKey(0, 0))
    mask = decode_scene_mask(record.masks[0], scenes[1], source="x")
    assert record.masks[0].image == 1 and 0 < mask.mean() < 0.9
    assert [scene.time for scene in scenes] == ["before", "after"]


def test_levir_cc_has_five_captions_and_its_flag(load: Load) -> None:
    records = load("levir_cc").records
    assert len(records) == 3 and all(len(record.captions) == 5 for record in records)
    assert {record.meta["type"] for record in records} == {"change", "no change"}
    assert [Path(ref.paths[0]).parent.name for ref in records[0].images] == ["A", "B"]


def test_xbd_has_dates_and_a_mask_for_each_damage(load: Load) -> None:
    records = load("xbd").records
    assert {record.turns[0].words.split(" with ")[1] for record in records} == {"total damage.", "no damage."}
    first = records[0]
    assert first.images[0].time < first.images[1].time and len(first.images[0].time) == 10


def test_xbd_without_dates_is_before_and_after(published: Path, tmp_path: Path) -> None:
    file = next((published / "xBD/test/labels").glob("*_post_disaster.json"))
    (tmp_path / file.name).write_text(file.read_text())
    images = {"rgb": {"root": str(published / "xBD/test/images"), "pattern": "{name}", "sensor": "rgb_uint8"}}
    data = XbdDataset(annotations=str(tmp_path), images=images)
    assert [ref.time for ref in data.records[0].images] == ["before", "after"]


def test_what_breaks_the_layouts_is_named(published: Path, tmp_path: Path) -> None:
    images = {"rgb": {"root": str(tmp_path), "pattern": "{name}", "sensor": "rgb_uint8"}}
    with pytest.raises(DataError, match=r"label: no masks \(\.png, \.tif\)\. Expected the folders A, B and label"):
        ChangeFolderDataset(annotations=str(tmp_path), images=images)
    (tmp_path / "label").mkdir()
    (tmp_path / "label/a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.png: its image .*A/a\.png is missing"):
        ChangeFolderDataset(annotations=str(tmp_path), images=images)
    with pytest.raises(DataError, match=r"no \*_post_disaster\.json"):
        XbdDataset(annotations=str(tmp_path), images=images)
    with pytest.raises(ConfigError, match=r"does not hold \{damage\}"):
        XbdDataset(annotations=str(tmp_path), images=images, prompt="Segment it.")
    file = next((published / "xBD/test/labels").glob("*_post_disaster.json"))
    content = json.loads(file.read_text())
    content["features"]["xy"][0]["properties"]["subtype"] = "burnt"
    (tmp_path / file.name).write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match=r"features\.xy\[0\]: subtype 'burnt', wkt present; expected one of no-damage"):
        XbdDataset(annotations=str(tmp_path), images=images)


def test_iou_and_f1_are_over_the_pixels_of_all_pairs() -> None:
    def line(drawn: int, true: int, shared: int) -> Prediction:
        first, second = np.zeros((1, 40), bool), np.zeros((1, 40), bool)
        first[0, :drawn] = True
        second[0, drawn - shared : drawn - shared + true] = True
        return Prediction(f"{drawn}", "referring", ("a",), "optical", "", "[SEG]", "", {}, (encode_rle(first),), (encode_rle(second),))

    judged = ChangeMaskScores().judge([line(10, 10, 5), line(4, 20, 4)])
    sums = {name: judged.measures[name].statistics.sum(0) for name in ("iou", "f1")}
    assert sums["iou"].tolist() == [9, 35] and sums["f1"].tolist() == [18, 44]
