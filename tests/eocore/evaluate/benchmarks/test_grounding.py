"""Boxes for phrases: VRSBench, GeoChat, DIOR-RSVG, RSVG, ships."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from eocore.errors import AnnotationError, DataError
from eocore.evaluate.benchmarks.grounding import VocGroundingDataset

IMAGES = {"rgb": {"root": "/nowhere", "pattern": "{name}", "sensor": "rgb_uint8"}}
OBJECT = "<object><name>ship</name><bndbox><xmin>{0}</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>{1}</object>"


def voc(folder: Path, name: str, *objects: str) -> None:
    size = "<size><width>100</width><height>200</height></size>"
    (folder / f"{name}.xml").write_text(f"<annotation><filename>{name}.jpg</filename>{size}{''.join(objects)}</annotation>")


def thing(left: int, description: str | None) -> str:
    return OBJECT.format(left, "" if description is None else f"<description>{description}</description>")


def dataset(folder: Path, lines: str, **choices) -> VocGroundingDataset:
    (folder / "test.txt").write_text(lines)
    return VocGroundingDataset(annotations=str(folder), images=IMAGES, split=str(folder / "test.txt"), **choices)


@pytest.mark.parametrize("name", ["vrsbench_grounding", "geochat_referring", "dior_rsvg", "rsvg"])
def test_published_layouts(load, first, name: str) -> None:
    record, scenes = first(load(name))
    assert record.task == "grounding"
    assert scenes["rgb"].size == (64, 64)
    assert record.turns[1].text.startswith("{<")
    assert record.meta["box_scale"] == 100


def test_vrsbench_groups(load) -> None:
    records = load("vrsbench_grounding").records
    assert {record.meta["unique"] for record in records} == {True, False}
    assert {record.meta["size_group"] for record in records} == {"small", "medium", "large"}


def test_lines_of_dior_rsvg_number_objects_over_all_files(tmp_path: Path) -> None:
    voc(tmp_path, "b", thing(3, "third"), thing(4, "fourth"))
    voc(tmp_path, "a", thing(1, "first"), thing(2, "second"))
    source = dataset(tmp_path, "1\n2\n")
    assert [record.turns[0].text for record in source.records] == [
        "<image>\n[refer] Give me the location of <p> second </p>",
        "<image>\n[refer] Give me the location of <p> third </p>",
    ]
    assert source.records[0].meta["boxes"] == [[2.0, 1.0, 30.0, 20.0]]  # of 100 x 200 px, in per cent


def test_lines_of_rsvg_name_files(tmp_path: Path) -> None:
    voc(tmp_path, "a", thing(1, "first"), thing(2, "second"))
    voc(tmp_path, "b", thing(3, "third"))
    assert len(dataset(tmp_path, "a\n", split_by="file")) == 2


def test_a_line_that_names_nothing_is_refused(tmp_path: Path) -> None:
    voc(tmp_path, "a", thing(1, "first"))
    with pytest.raises(AnnotationError, match=r"test.txt:2: '7' is no object of .*, which has 1 objects"):
        dataset(tmp_path, "0\n7\n")


def test_an_object_without_description_is_refused(tmp_path: Path) -> None:
    voc(tmp_path, "a", thing(1, None))
    with pytest.raises(AnnotationError, match=r"a.xml: an element 'object' has no 'description'"):
        dataset(tmp_path, "0\n")


def test_broken_xml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<annotation><object>")
    with pytest.raises(AnnotationError, match=r"a.xml: not XML"):
        dataset(tmp_path, "0\n")


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    voc(tmp_path, "a", thing(1, "first"))
    with pytest.raises(DataError, match="no such split file"):
        VocGroundingDataset(annotations=str(tmp_path), images=IMAGES, split=str(tmp_path / "none.txt"))


def test_ships_have_all_boxes_of_an_image(load, first) -> None:
    record, scenes = first(load("sar_ship"))
    assert record.task == "detection"
    assert len(record.meta["boxes"]) == 2
    assert list(scenes) == ["sar"]


def test_the_written_voc_files_number_all_objects(published: Path) -> None:
    files = sorted((published / "DIOR_RSVG/Annotations").glob("*.xml"))
    total = sum(len(ElementTree.parse(file).findall("object")) for file in files)
    lines = (published / "DIOR_RSVG/test.txt").read_text().split()
    assert int(lines[-1]) in (total - 1, total - 2)
    assert int(lines[-1]) > len(files)
