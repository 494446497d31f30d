"""An index on disk: whole after it is written, and told where a file is missing, broken or of another index."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import clustered

from eocore.errors import ConfigError, DataError
from eocore.search import index_folder
from eocore.search.building import write_new
from eocore.search.documents import Document, as_table
from eocore.search.index_folder import CAPTIONS, Space, check_space, open_index, read_facts

SPACE = Space(CAPTIONS, "model", "digest")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexes") / "index"
    table = as_table(Document(f"key {row}") for row in range(300))
    write_new(folder, SPACE, vectors=clustered(300, width=8, num_centres=10), table=table, kind="ivf")
    return folder


@pytest.fixture
def index(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "index"))


def test_it_opens_as_it_was_written(index: Path) -> None:
    found = open_index(index, verify=True)
    assert (found.facts.space, found.facts.num_items, found.facts.width, len(found.items)) == (SPACE, 300, 8, 300)
    assert found.searcher.search(found.searcher.vectors[7], k=1)[0].tolist() == [7]


def test_nothing_is_pickled(index: Path) -> None:
    assert sorted(path.name for path in index.iterdir()) == ["faiss-0001.faiss", "index.json", "items-0001.parquet", "vectors-0001.npy"]
    np.load(index / "vectors-0001.npy", allow_pickle=False)


def test_a_second_index_does_not_replace_the_first(index: Path) -> None:
    with pytest.raises(DataError, match="holds an index"):
        write_new(index, SPACE, vectors=clustered(3, width=8, num_centres=1), table=as_table([]))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["faiss-0001.faiss", "items-0001.parquet", "vectors-0001.npy"])
@pytest.mark.parametrize(
    ("damage", "message"), [(Path.unlink, "the file is missing"), (cut, "bytes, and .* were written"), (flip, "its content is another")]
)
def test_a_damaged_file_is_told(index: Path, name: str, damage: Callable[[Path], None], message: str) -> None:
    damage(index / name)
    with pytest.raises(DataError, match=rf"{name}: .*{message}.*|{name}: {message}"):
        open_index(index)


def test_large_files_are_compared_by_content_where_that_is_asked_for(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_folder, "MOST_CHECKED", 0)
    flip(index / "vectors-0001.npy")
    open_index(index)
    with pytest.raises(DataError, match="its content is another"):
        open_index(index, verify=True)


def change(index: Path, **fields: Any) -> None:
    path = index / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": 2}, "format 2; this version reads 1"),
        ({"num_items": 299}, r"names 299 items of width 8; 300 items and vectors \(300, 8\) are there"),
        ({"width": 9}, "names 300 items of width 9"),
        ({"num_items": "many"}, "num_items"),
        ({"surprise": 1}, "surprise"),
        ({"space": {"kind": "captions"}}, "space"),
    ],
)
def test_an_index_file_that_disagrees_is_told(index: Path, fields: dict[str, Any], message: str) -> None:
    change(index, **fields)
    with pytest.raises(DataError, match=message):
        open_index(index)


def test_faiss_files_of_another_index_are_told(index: Path) -> None:
    import hashlib

    content = b"IxFI" + bytes(100)
    (index / "faiss-0001.faiss").write_bytes(content)
    files = json.loads((index / "index.json").read_text())["files"]
    files["faiss"] |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change(index, files=files)
    with pytest.raises(DataError, match=r"faiss-0001\.faiss: (cannot be read as an index of FAISS|holds 0 vectors)"):
        open_index(index)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_broken_index_file_is_told(index: Path, text: str) -> None:
    (index / "index.json").write_text(text)
    with pytest.raises(DataError, match=r"index\.json: .*build it anew with --overwrite"):
        read_facts(index)


def test_a_folder_without_an_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no index \(no index\.json\)"):
        open_index(tmp_path)


def test_another_model_is_refused_by_its_digest() -> None:
    check_space(SPACE, Space(CAPTIONS, "a copy of it elsewhere", "digest"))
    with pytest.raises(ConfigError, match=r"built with the model 'model' \(digest digest\), and 'other' is another \(digest else\)"):
        check_space(SPACE, Space(CAPTIONS, "other", "else"))
