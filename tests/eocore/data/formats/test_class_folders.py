"""Class folders: labels, names and prompts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eocore.data import registered as _registered  # noqa: F401
from eocore.data.content import describe_dataset
from eocore.data.dataset import RecordDataset, SampleKey
from eocore.errors import ConfigError, DataError
from eocore.registry import DATASETS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder, files in (("SeaLake", ("2.png", "1.png")), ("Forest", ("1.png",))):
        (tmp_path / "set" / folder).mkdir(parents=True)
        for file in files:
            Image.fromarray(np.full((4, 6, 3), 90, np.uint8)).save(tmp_path / "set" / folder / file)
    (tmp_path / "set" / "Forest" / "notes.txt").write_text("no image")
    return tmp_path / "set"


def build(root: Path, **options: Any) -> RecordDataset:
    made: RecordDataset = DATASETS.build({"type": "ClassFolderDataset", "annotations": str(root), "images": {}, **options})
    return made


def test_every_image_has_the_class_of_its_folder(root: Path) -> None:
    data = build(root)
    assert [record.sample_id for record in data.records] == ["Forest/1.png", "SeaLake/1.png", "SeaLake/2.png"]
    assert [record.labels for record in data.records] == [("Forest",), ("SeaLake",), ("SeaLake",)]
    assert data.records[1].meta == {"image": "SeaLake/1.png", "answer": "SeaLake", "candidates": ["Forest", "SeaLake"], "type": "SeaLake"}
    record, scenes, _ = data.load(SampleKey(0, 2))
    assert record.roles == ("rgb",) and scenes[0].size == (4, 6) and record.turns == ()


def test_names_give_the_order_of_the_classes_and_prompts_give_captions(root: Path) -> None:
    prompts = ["a photo of {label}.", "{label} from above"]
    data = build(root, classes={"SeaLake": "sea or lake", "Forest": "forest"}, prompts=prompts)
    assert data.records[0].labels == ("sea or lake",)
    assert data.records[0].captions == ("a photo of sea or lake.", "sea or lake from above")
    assert [record.labels[0] for record in build(root, classes=["SeaLake"]).records] == ["SeaLake", "SeaLake"]


def test_own_sources_show_more_than_the_folder_holds(root: Path) -> None:
    images = {"sar": {"root": str(root.parent / "sar"), "pattern": "{stem}.tif", "sensor": "sentinel1_grd"}}
    assert build(root, images=images).records[0].images[0].paths == (f"{root.parent}/sar/Forest/1.tif",)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"classes": ["Desert"]}, DataError, r"no folder for Desert; found Forest, SeaLake"),
        ({"classes": {"Forest": "green", "SeaLake": "green"}}, ConfigError, "two folders have one class name"),
        ({"prompts": ["a photo"]}, ConfigError, r"texts with \{label\} once in each"),
        ({"prompts": "{label}"}, ConfigError, r"prompts is '\{label\}' \(a text\); expected a list, each entry a text"),
    ],
)
def test_faults_are_told(root: Path, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(root, **options)


def test_a_missing_folder_is_told_and_another_listing_is_another_content(root: Path) -> None:
    with pytest.raises(DataError, match="no such folder of class folders"):
        build(root / "none")
    before = describe_dataset(build(root))
    (root / "Forest" / "1.png").rename(root / "Forest" / "3.png")
    after = describe_dataset(build(root))
    assert before["records"] == after["records"] and before["images"] != after["images"]


def test_names_go_by_the_order_of_the_folders_where_these_are_called_otherwise(root: Path) -> None:
    assert [record.labels for record in build(root, ordered_names=["trees", "water"]).records] == [("trees",), ("water",), ("water",)]
    with pytest.raises(DataError, match=r"holds 2 folders \(Forest, SeaLake\), expected 3"):
        build(root, ordered_names=["trees", "water", "snow"])
    with pytest.raises(ConfigError, match="Give one of them"):
        build(root, ordered_names=["trees", "water"], classes=["Forest", "SeaLake"])
