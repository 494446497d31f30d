"""Lists in every form, and those that do not say one thing."""

from pathlib import Path

import pytest

from eocore.errors import ConfigError, DataError
from ms_clip.upstream.lists import choose_list, image_paths, table_path


@pytest.fixture(scope="module")
def images(chips: Path) -> list[Path]:
    return sorted((chips / "test" / "multispectral").rglob("*.tif"))


def test_lists_come_as_folder_text_or_yaml(images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"\ufeff{images[0]}\n\n{images[1]}\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text(f"images:\n  - {images[0]}\nclasses: [water, 'bare ground']\n")
    assert image_paths(tmp_path / "a.txt") == images[:2]
    assert image_paths(tmp_path / "b.yaml") == images[:1]
    assert image_paths(images[0].parent) == sorted(images[0].parent.iterdir())
    assert choose_list([], tmp_path / "b.yaml", key="classes", options=("--class-names", "--classes-file")) == ["water", "bare ground"]


@pytest.mark.parametrize(
    ("words", "file", "message"),
    [
        ([], None, "neither is"),
        (["a"], "b.txt", "both are"),
        (["a", "a"], None, "a is named twice"),
        ([], "empty.txt", "no entry"),
        ([], "bad.yaml", "list 'classes'"),
    ],
)
def test_lists_that_do_not_say_one_thing_are_refused(tmp_path: Path, words: list[str], file: str | None, message: str) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "bad.yaml").write_text("klasses: [a]\n")
    with pytest.raises((ConfigError, DataError), match=message):
        choose_list(words, None if file is None else tmp_path / file, key="classes", options=("--class-names", "--classes-file"))


def test_missing_images_are_counted_and_named(images: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 of 2 images of the list do not exist: .*nowhere\.tif"):
        image_paths([images[0], tmp_path / "nowhere.tif"])
    with pytest.raises(DataError, match="holds no image"):
        image_paths(tmp_path)


def test_an_image_named_twice_is_refused_by_whatever_path(images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "link.tif").symlink_to(images[0])
    with pytest.raises(DataError, match=r"more than once, so its rows would be doubled"):
        image_paths([images[0], tmp_path / "link.tif"])


def test_names_in_a_list_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"")
    (tmp_path / "list.txt").write_text("a.tif\n")
    assert image_paths(str(tmp_path / "list.txt")) == [tmp_path / "a.tif"]
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match=r"list\.txt cannot be read: .* Save it as UTF-8"):
        image_paths(tmp_path / "list.txt")
    with pytest.raises(DataError, match=r"b\.txt: no such file"):
        image_paths(tmp_path / "b.txt")


@pytest.mark.parametrize(("given", "written"), [("out", "out.csv"), ("a/out.csv", "a/out.csv"), ("v1.2", "v1.2.csv"), ("x.CSV", "x.CSV")])
def test_a_table_ends_in_csv(given: str, written: str) -> None:
    assert table_path(given) == Path(written)
