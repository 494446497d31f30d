"""What is indexed: images of folders and tables with what the table says of them, captions one by one, and what is refused."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.predict.image_files import ImageFile
from eocore.search.sources import captions_of, from_payload, images_of

Write = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiles").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "tiles" / name).write_bytes(name.encode())
    return tmp_path / "tiles"


def test_images_of_a_folder(folder: Path) -> None:
    source = images_of([str(folder)], options={"optical": ImageFile((), sensor="rgb_uint8")})
    assert [item.key for item in source.items] == ["a", "b"]
    assert source.documents["a"].image == str(folder / "a.png")
    assert from_payload(source.items[0].payload["files"]) == {"optical": ImageFile((str(folder / "a.png"),), sensor="rgb_uint8")}
    assert json.loads(json.dumps(source.items[0].payload))["stamp"] == source.documents["a"].stamp


def test_a_table_says_what_is_known_of_its_images(folder: Path, write_captions: Write) -> None:
    header = "image,caption,date,sensor,cloud_cover,bbox,country"
    rows = [
        'tiles/a.png,a farm,2024-05-31,worldview,12.5,"11,48,12,49",DE',
        "tiles/b.png,a road,,,,,IT",
        'tiles/a.png,green fields,2024-05-31,worldview,12.5,"11,48,12,49",DE',
    ]
    source = images_of([str(write_captions(rows, header=header))], options={})
    found = source.documents["tiles/a"]
    assert (found.caption, found.time, found.sensor, found.cloud_cover) == ("a farm green fields", "2024-05-31", "worldview", 12.5)
    assert found.footprint is not None and found.footprint.bounds == (11, 48, 12, 49)
    assert (source.documents["tiles/b"].cloud_cover, source.documents["tiles/b"].footprint) == (None, None)
    assert source.ignored == ("country",)


def test_footprints_as_wkt(write_captions: Write) -> None:
    (found,) = captions_of(
        write_captions(['x,a farm,"POLYGON ((0 0, 1 0, 1 1, 0 0))"'], header="image,caption,footprint")
    ).documents.values()
    assert found.footprint is not None and found.footprint.area == 0.5


def test_every_caption_is_an_item(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_text(json.dumps([{"image": "x.png", "caption": ["a farm", "fields"]}, {"image": "x.png", "caption": "a road"}]))
    source = captions_of(path)
    assert [item.payload["text"] for item in source.items] == ["a farm", "fields", "a road"]
    assert [(key, found.image) for key, found in source.documents.items()] == [(f"x.png#{number}", "x.png") for number in range(3)]


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("image,caption", "x,?!", r"captions\.csv:2: '\?!' has no word in it"),
        ("image,caption,time", "x,a farm,yesterday", r"captions\.csv:2: time 'yesterday'; expected an ISO 8601"),
        ("image,caption,cloud_cover", "x,a farm,120", r"captions\.csv:2: cloud_cover '120'; expected a share in percent"),
        ("image,caption,cloud_cover", "x,a farm,many", r"captions\.csv:2: cloud_cover 'many'"),
        ("image,caption,bbox", "x,a farm,'1'", r"captions\.csv:2: bbox .*; expected WEST,SOUTH,EAST,NORTH"),
        ("image,caption,footprint", "x,a farm,POINT", r"captions\.csv:2: footprint is no WKT"),
        ("image,caption,footprint", "x,a farm,POINT (400 0)", r"captions\.csv:2: the footprint is empty, or lies outside"),
        ("image,caption,footprint", "x,a farm,POLYGON EMPTY", r"captions\.csv:2: the footprint is empty, or lies outside"),
        ("image,text", "x,a farm", r"captions\.csv:2: no field 'caption'"),
    ],
)
def test_rows_that_cannot_be_are_refused_with_their_line(write_captions: Write, header: str, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        captions_of(write_captions([row], header=header))


def test_an_empty_table_is_refused(write_captions: Write) -> None:
    for read in (captions_of, lambda path: images_of([str(path)], options={})):
        with pytest.raises(DataError, match="no row in it"):
            read(write_captions([]))  # type: ignore[operator]


def test_a_table_without_images_is_refused(write_captions: Write) -> None:
    with pytest.raises((ConfigError, AnnotationError), match=r"captions\.csv"):
        images_of([str(write_captions(["a farm"], header="caption"))], options={})


def rows_of(*captions: str) -> Sequence[str]:
    return [f"x.png,{caption}" for caption in captions]
