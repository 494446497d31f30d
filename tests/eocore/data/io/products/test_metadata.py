"""What is made of metadata is kept as long as its file is the same."""

import os
from pathlib import Path

import pytest

from eocore.data.io.products import metadata
from eocore.data.io.products.metadata import MOST_KEPT, Metadata, kept, listed_in_manifest
from eocore.errors import DataError

made: list[str] = []


def read_name(path: Path) -> str:
    made.append(Metadata(path).text("name"))
    return made[-1]


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    made.clear()


def write(path: Path, name: str, *, age_s: float) -> Path:
    path.write_text(f"<a><name>{name}</name></a>")
    seconds = path.stat().st_mtime - age_s
    os.utime(path, (seconds, seconds))
    return path


def test_a_file_is_read_again_where_it_has_changed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xml", "first", age_s=60)
    assert [kept(path, read_name) for _ in range(3)] == ["first"] * 3 and made == ["first"]
    write(path, "later", age_s=30)
    assert [kept(path, read_name) for _ in range(2)] == ["later"] * 2 and made == ["first", "later"]
    path.unlink()
    with pytest.raises(DataError, match="the product lacks this file"):
        kept(path, read_name)


def test_a_file_that_was_just_written_is_not_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xml", "first", age_s=0)
    assert kept(path, read_name) == kept(path, read_name) == "first" and made == ["first"] * 2


def test_what_is_broken_is_told_each_time(tmp_path: Path) -> None:
    write(tmp_path / "manifest.safe", "</a>", age_s=60)
    for _ in range(2):
        with pytest.raises(DataError, match="not usable XML"):
            listed_in_manifest(tmp_path)


def test_only_some_are_kept(tmp_path: Path) -> None:
    for number in range(MOST_KEPT + 3):
        kept(write(tmp_path / f"{number}.xml", str(number), age_s=60), read_name)
    assert len(metadata._kept) == MOST_KEPT
    kept(tmp_path / "0.xml", read_name)
    assert made[-1] == "0" and len(made) == MOST_KEPT + 4, "the one used longest ago was dropped"
