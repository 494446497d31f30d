"""Rows and their images: folders with a table, bare names, kinds that are mixed, and what cannot be told."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_chips import make_chips, write_table
from PIL import Image

from eocore.errors import ConfigError, DataError
from eocore.onboarding.choices import DatasetChoices, Findings
from eocore.onboarding.samples import SampleSet, find_samples
from eocore.onboarding.sensors import SensorChoice
from eocore.synthetic.product_folders import MadeLandsat, write_landsat


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chips of three sensors and one table that names places by their bare names."""
    root = tmp_path_factory.mktemp("folder")
    make_chips(root, count=6)
    for path in (*root.glob("*.csv"), root / "masks"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_table(root / "notes.csv", ("image", "caption"), [(f"field_{number:02d}", "a pond") for number in range(6)])
    return root


def find(source: Path, findings: Findings | None = None, *, root: Path | None = None, **choices: Any) -> SampleSet:
    return find_samples(source, DatasetChoices(**choices), findings=findings or Findings(), root=root)


def picture(path: Path, grey: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4) if grey else (4, 4, 3), 9, np.uint8)).save(path)


def test_a_bare_name_in_a_folder_is_a_place_of_all_sensors(folder: Path) -> None:
    findings = Findings()
    found = find(folder, findings)
    assert {choice.role for choice in found.sensors.values()} == {"rgb", "multispectral", "sar"}
    assert all(len(sample.images) == 3 for sample in found.samples) and len(found.samples) == 6
    assert sum(line.startswith("pairs: 6 of 6") for line in findings.guessed) == 2


def test_a_bare_name_in_a_table_alone_may_be_several_images(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"notes.csv:2: 'field_00' names 3 images .*--pair; else say where images lie with --images DIR"):
        find(folder / "notes.csv")
    found = find(folder / "notes.csv", root=folder / "s2")
    assert found.sensors["image"].role == "multispectral"
    assert set(find(folder / "notes.csv", pair=True, leave_out=("rgb",)).sensors) == {"s1", "s2"}


def test_groups_that_are_named_must_be_there(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"--leave-out names 's3', which is no group of images here. Groups: rgb; s1; s2"):
        find(folder, leave_out=("s3",))
    with pytest.raises(ConfigError, match=r"--sensor names 'rgb'.*Groups: image"):
        find(folder / "notes.csv", root=folder / "s2", sensors={"rgb": "rgb_uint8"})


def test_two_groups_of_one_role_are_refused(folder: Path, tmp_path: Path) -> None:
    rows = [("s2/field_00.tif", "s2/field_01.tif", "a")]
    write_table(tmp_path / "two.csv", ("optical", "s2", "caption"), rows)
    with pytest.raises(ConfigError, match=r"s2 and optical are both multispectral images.*--leave-out s2.*--role s2=NAME"):
        find(tmp_path / "two.csv", root=folder)


def test_kinds_in_one_column_are_groups_of_their_own(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", grey=True)
    write_table(tmp_path / "t.csv", ("image", "caption"), [("a.png", "x"), ("b.png", "y")])
    found = find(tmp_path / "t.csv", roles={"image/1xuint8": "sar"})
    assert {label: choice.role for label, choice in found.sensors.items()} == {"image/1xuint8": "sar", "image/3xuint8": "rgb"}
    findings = Findings()
    assert len(find(tmp_path / "t.csv", findings, leave_out=("image/1xuint8",)).samples) == 1
    assert [item.reason for item in findings.skipped] == ["its image is left out"]


def test_a_folder_of_several_tables_asks_for_one(tmp_path: Path) -> None:
    for name in ("a.csv", "b.jsonl"):
        (tmp_path / name).touch()
    with pytest.raises(ConfigError, match=r"holds 2 tables \(a.csv; b.jsonl\). Name the one that is meant instead of the folder"):
        find(tmp_path)


def test_images_that_nothing_is_said_about_are_refused(tmp_path: Path) -> None:
    for name in ("s1/a.png", "s1/b.png", "s2/a.png", "s2/b.png"):
        picture(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"no table beside them says what they show. Put a table"):
        find(tmp_path)
    with pytest.raises(DataError, match="no image that can be read, and no table"):
        find(tmp_path / "empty")


def test_paths_that_leave_the_folder_are_skipped(folder: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", ("image", "caption"), [("rgb/field_00.tif", "x"), ("../x.tif", "y")])
    findings = Findings()
    assert len(find(tmp_path / "t.csv", findings, root=folder).samples) == 1
    assert "is no relative path inside the image folder" in findings.skipped[0].reason


def test_the_folder_of_a_product_is_an_image_of_the_sensor_that_its_metadata_tell(tmp_path: Path) -> None:
    product = write_landsat(tmp_path, MadeLandsat())
    write_table(tmp_path / "t.csv", ("image", "caption"), [(product.name, "a field")])
    findings = Findings()
    found = find(tmp_path / "t.csv", findings)
    assert found.sensors == {"image": SensorChoice("landsat9_l2", "multispectral")}
    assert found.samples[0].anchor.path == product.name and product.name in found.shapes
    assert any("the product's metadata" in line for line in findings.guessed)


def test_absolute_paths_below_the_folder_are_taken(folder: Path, tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", ("image", "caption"), [(str(folder / "rgb" / "field_00.tif"), "x"), (str(tmp_path / "x.tif"), "y")])
    findings = Findings()
    assert find(tmp_path / "t.csv", findings, root=folder).samples[0].anchor.path == "rgb/field_00.tif"
    assert len(findings.skipped) == 1
