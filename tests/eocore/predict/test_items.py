"""What is asked about many images: folders, lists and tables, joined by names."""

import json
from pathlib import Path

import pytest

from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.predict.image_files import ImageFile
from eocore.predict.items import Item, find_items


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("s2/a.tif", "s2/deep/b.tif", "s1/a.tif", "s1/deep/b.tiff", "s1/c.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def find(*sources: object, **options: ImageFile) -> dict[str, Item]:
    return {item.item_id: item for item in find_items([str(source) for source in sources], options=options)}


def test_a_folder_is_asked_image_by_image(folder: Path) -> None:
    found = find(folder / "s2", optical=ImageFile((), "sentinel2_l2a"))
    assert list(found) == ["a", "deep/b"]
    assert found["a"].files == {"optical": ImageFile((str(folder / "s2" / "a.tif"),), "sentinel2_l2a")}


def test_folders_of_several_inputs_are_joined_by_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = find(f"optical={folder / 's2'}", f"sar={folder / 's1'}")
    assert {name: sorted(item.files) for name, item in found.items()} == {
        "a": ["optical", "sar"],
        "deep/b": ["optical", "sar"],
        "c": ["sar"],
    }
    assert "1 of 3 items lack one of optical, sar (c)" in "".join(capsys.readouterr())


def test_a_list_names_a_path_a_line(folder: Path) -> None:
    (folder / "list.txt").write_text("# chips\ns2/a.tif\n\ns1/c.tif\n")
    assert {name: item.files["optical"].paths for name, item in find(folder / "list.txt").items()} == {
        "s2/a": (str(folder / "s2/a.tif"),),
        "s1/c": (str(folder / "s1/c.tif"),),
    }


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_table_may_name_questions_and_ids(folder: Path, name: str) -> None:
    rows = [{"id": "one", "optical": "s2/a.tif", "sar": "s1/a.tif", "text": "Is there water?"}, {"optical": "s2/deep/b.tif"}]
    lines = ["id,optical,sar,text,note", "one,s2/a.tif,s1/a.tif,Is there water?,x", ",s2/deep/b.tif,,,"]
    (folder / name).write_text("\n".join(lines) if name.endswith("csv") else "\n".join(map(json.dumps, rows)))
    found = find(folder / name)
    assert found["one"].text == "Is there water?" and set(found["one"].files) == {"optical", "sar"}
    assert found["s2/deep/b"].text == "" and found["s2/deep/b"].source.startswith(str(folder / name))


def test_a_table_of_pairs_names_earlier_images_too(folder: Path) -> None:
    (folder / "t.csv").write_text("id,image,before,before_sar,sar\none,s2/a.tif,s2/deep/b.tif,s1/a.tif,s1/c.tif\n")
    (item,) = find_items([str(folder / "t.csv")], options={"optical": ImageFile((), "sentinel2_l2a")}, pairs=True)
    assert item.before == {
        "optical": ImageFile((str(folder / "s2/deep/b.tif"),), "sentinel2_l2a"),
        "sar": ImageFile((str(folder / "s1/a.tif"),)),
    }
    assert item.files["optical"].paths == (str(folder / "s2/a.tif"),)
    assert find(folder / "t.csv")["one"].before == {}


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("image,before,before_optical\na.tif,b.tif,c.tif\n", ConfigError, "columns before, before_optical name two earlier images of one"),
        ("image,before\na.tif,b.tif\nc.tif,\n", AnnotationError, r"t\.csv:3: no image in before"),
    ],
)
def test_tables_of_pairs_that_do_not_tell_them_are_refused(tmp_path: Path, content: str, error: type[Exception], message: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(error, match=message):
        find_items([str(tmp_path / "t.csv")], options={}, pairs=True)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("path\na.tif\n", ConfigError, r"columns path; expected image or one or more of optical"),
        ("image,optical\na.tif,b.tif\n", ConfigError, r"columns image, optical; expected image or one"),
        ("image,text\na.png,\n,Where?\n", AnnotationError, r"t.csv:3: no image in image"),
        ("image,id\na.tif,../x\n", AnnotationError, r"'../x' is no relative path"),
        ("image\na.tif\na.png\n", DataError, r"t.csv:3: the id 'a' is taken by .*t.csv:2; answers and masks are named by it"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, content: str, error: type[Exception], message: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(error, match=message):
        find(tmp_path / "t.csv")


def test_other_sources_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected INPUT=PATH, with INPUT one of optical"):
        find(f"dem={folder / 's1'}")
    (folder / "t.csv").write_text("image\na.tif\n")
    with pytest.raises(ConfigError, match="a table names the images of all inputs itself"):
        find(folder / "t.csv", folder / "s2")
    (folder / "list.txt").write_text("\n")
    (folder / "items.json").write_text('{"type": "FeatureCollection", "features": []}')
    for name in ("list.txt", "items.json"):
        with pytest.raises(DataError, match=rf"--inputs .*{name}: no image in it, so nothing was done. Name lists"):
            find(folder / name)
    with pytest.raises(ConfigError, match=r"Did you mean 'sar'\?"):
        find(f"ssar={folder / 's1'}")
    (folder / "none").mkdir()
    with pytest.raises(DataError, match="no image files or product folders in it"):
        find(folder / "none")
    with pytest.raises(DataError, match=r"the id 'a' is taken by .*s2/a.tif. Give the folder above both"):
        find(folder / "s2", folder / "s1")


def test_a_table_of_a_header_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,image\n")
    with pytest.raises(ConfigError, match=r"a\.csv: a table without rows, so there is nothing to ask about"):
        find_items([str(tmp_path / "a.csv")], options={})
