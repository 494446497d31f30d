"""Image-caption files: CSV and JSON, one or several captions an image."""

import json
from pathlib import Path
from typing import Any

import pytest

from eocore.data import registered as _registered  # noqa: F401
from eocore.data.dataset import RecordDataset
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.registry import DATASETS


def build(file: Path, **options: Any) -> RecordDataset:
    images = {"rgb": {"root": str(file.parent), "pattern": "{name}", "sensor": "rgb_uint8"}}
    made: RecordDataset = DATASETS.build({"type": "ImageCaptionDataset", "annotations": str(file), "images": images, **options})
    return made


def test_lines_of_one_image_are_one_record(tmp_path: Path) -> None:
    file = tmp_path / "captions.csv"
    file.write_text('filename,title,split\nb.png,"A lake, blue",train\na.png,A hill,train\nb.png,Water,val\nb.png,Water,val\n')
    first, second = build(file, image_field="filename", caption_field="title").records
    assert first.captions == ("A lake, blue", "Water", "Water") and second.captions == ("A hill",)
    assert (first.sample_id, first.source, first.task) == ("captions-0", f"{file}:2", "caption")
    assert first.meta == {"image": "b.png"} and second.meta == {"image": "a.png", "split": "train"}
    assert first.images[0].paths == (f"{tmp_path}/b.png",) and first.turns == ()


@pytest.mark.parametrize("lines", [False, True])
def test_json_holds_one_or_several_captions_and_labels(tmp_path: Path, lines: bool) -> None:
    entries = [
        {"image": "a.png", "caption": " A hill ", "kind": ["hill", "grass"], "cloudy": False},
        {"image": "b.png", "caption": ["A lake", "Water"], "kind": "lake", "window": [0, 1, 5, 6]},
    ]
    file = tmp_path / ("captions.jsonl" if lines else "captions.json")
    file.write_text("\n".join(map(json.dumps, entries)) if lines else json.dumps(entries))
    data = build(file, label_field="kind")
    assert [record.captions for record in data.records] == [("A hill",), ("A lake", "Water")]
    assert [record.labels for record in data.records] == [("hill", "grass"), ("lake",)]
    assert data.records[0].meta == {"image": "a.png", "cloudy": False} and data.records[1].images[0].window == (0, 1, 5, 6)
    assert data.lengths(image_tokens=10).tolist() == [12, 13]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,text\na.png,hi\n", r"captions\.csv:2: no field 'caption'; found image, text"),
        ("image,caption\na.png\n", r"captions\.csv:2: 1 cells, but the header has 2 columns"),
        ("image,image\na.png,hi\n", r"captions\.csv:1: expected a header with the name of each column once"),
        ("", r"captions\.csv:1: expected a header"),
        ('image,caption\na.png,"open\n', r"captions\.csv:\d: not CSV: unexpected end of data"),
        ("image,caption\n../a.png,hi\n", r"captions\.csv:2: '\.\./a\.png' is no relative path"),
        ("image,caption\na.png,\n", r"captions\.csv:2: no field 'caption'"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "captions.csv").write_text(text)
    with pytest.raises(AnnotationError, match=message):
        build(tmp_path / "captions.csv")


def test_a_file_that_is_not_text_or_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_bytes(b"image,caption\na.png,\xff\xfe\n")
    with pytest.raises(AnnotationError, match=r"not UTF-8"):
        build(tmp_path / "captions.csv")
    with pytest.raises(DataError, match="no such annotation file"):
        build(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="must name fields of the file"):
        build(tmp_path / "captions.csv", caption_field="")


def test_duplicated_labels_and_captions_that_are_no_texts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"image": "a.png", "caption": ["same", "same"], "kind": ["lake", "lake"]}]))
    assert build(tmp_path / "a.json").records[0].captions == ("same", "same")
    with pytest.raises(AnnotationError, match=r"a\.json#0: a label is duplicated in \['lake', 'lake'\]"):
        build(tmp_path / "a.json", label_field="kind")
    (tmp_path / "a.json").write_text(json.dumps([{"image": "a.png", "caption": ["good", 3]}]))
    with pytest.raises(AnnotationError, match=r"a\.json#0: field 'caption' must be a text or a list of texts"):
        build(tmp_path / "a.json")
