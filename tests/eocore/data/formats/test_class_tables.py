"""Tables of images and classes: names, their order, and faults with their line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eocore.data import registered as _registered  # noqa: F401
from eocore.data.dataset import RecordDataset, SampleKey
from eocore.errors import AnnotationError, ConfigError
from eocore.registry import DATASETS

TABLE = "example_path,merged_label\nexamples/1_2,Other\nexamples/3_4,Plantation\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for example in ("1_2", "3_4"):
        folder = tmp_path / "examples" / example / "images"
        folder.mkdir(parents=True)
        Image.fromarray(np.full((4, 6, 3), 90, np.uint8)).save(folder / "composite.png")
    (tmp_path / "test.csv").write_text(TABLE)
    return tmp_path


def build(root: Path, **options: Any) -> RecordDataset:
    made: RecordDataset = DATASETS.build(
        {
            "type": "ClassTableDataset",
            "annotations": str(root / "test.csv"),
            "image_field": "example_path",
            "label_field": "merged_label",
            "images": {"rgb": {"root": str(root), "pattern": "{name}/images/composite.png", "sensor": "rgb_uint8"}},
            **options,
        }
    )
    return made


def test_lines_become_records_with_their_class(root: Path) -> None:
    data = build(root, classes={"Plantation": "oil palm", "Other": "other"})
    assert [record.labels for record in data.records] == [("other",), ("oil palm",)]
    assert data.records[1].meta == {"image": "examples/3_4", "answer": "oil palm", "candidates": ["oil palm", "other"], "type": "oil palm"}
    record, scenes, _ = data.load(SampleKey(0, 0))
    assert record.task == "classification" and scenes[0].size == (4, 6)


def test_without_classes_those_of_the_table_count_in_their_order(root: Path) -> None:
    assert build(root).records[0].meta["candidates"] == ["Other", "Plantation"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"classes": ["Plantation"]}, AnnotationError, r"test\.csv:2: class 'Other' is none of Plantation"),
        ({"classes": {"Plantation": "a", "Other": "a"}}, ConfigError, "two labels have one class name"),
        ({"label_field": "label"}, AnnotationError, r"test\.csv:2.*label"),
        ({"label_field": ""}, ConfigError, "found an empty one"),
    ],
)
def test_faults_are_told(root: Path, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(root, **options)
