"""Whole scenes by a converted model: vectors of their windows, an index of them, asked by words and by a window that is in it."""

from pathlib import Path

import numpy as np
import pytest
from scene_files import lake, write_scene

from eocore.commands.embed_scenes import COMMAND as EMBED
from eocore.commands.search_index import COMMAND as SEARCH
from eocore.data.io.vector_table import read_vector_table

pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra: search)")
SENSOR = ["--sensor", "optical=sentinel2_l2a"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "s2"
    folder.mkdir()
    write_scene(folder / "north.tif", lake(70, 90))
    write_scene(folder / "south.tif", lake(64, 64))
    return folder


def embed(model: Path, scenes: Path, out: Path, *words: str) -> Path:
    fixed = ["--inputs", str(scenes), *SENSOR, "--side", "32", "--batch-size", "4"]
    assert EMBED([str(model), *fixed, "--out", str(out), *words]) == 0
    return out / "vectors.parquet"


@pytest.fixture(scope="module")
def vectors(scenes: Path, band_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embed(band_model, scenes, tmp_path_factory.mktemp("vectors"))


def test_an_index_of_scenes_is_asked_by_words_and_by_windows(vectors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = str(tmp_path / "index")
    assert SEARCH(["build", index, "--vectors", str(vectors)]) == 0
    assert "13 images of width" in capsys.readouterr().out
    assert SEARCH(["query", index, "--text", "water", "--k", "2", "--box", "8.9,45,9.1,45.2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert SEARCH(["query", index, "--like", "north/0_0", "--k", "1", "--out", str(tmp_path / "hits.jsonl")]) == 0
    assert '"window": "' in (tmp_path / "hits.jsonl").read_text()
    assert SEARCH(["add", index, "--vectors", str(vectors)]) == 0
    assert "0 new items" in capsys.readouterr().out
    assert SEARCH(["remove", index, "--key", "north/0_0", "south/0_0", "--dry-run"]) == 0
    assert "2 items would be removed (north/0_0; south/0_0)" in capsys.readouterr().out
    assert SEARCH(["remove", index, "--key", "north/0_0"]) == 0
    assert "1 items removed\n  12 images" in capsys.readouterr().out


def test_worker_processes_make_the_same_table(vectors: Path, scenes: Path, band_model: Path, tmp_path: Path) -> None:
    same(vectors, embed(band_model, scenes, tmp_path, "--workers", "1"))


@pytest.mark.slow
def test_a_ray_cluster_makes_the_same_table(vectors: Path, scenes: Path, band_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray (extra ray) is not installed")
    same(vectors, embed(band_model, scenes, tmp_path, "--workers", "2", "--engine", "ray"))


def same(first: Path, second: Path) -> None:
    (made_by, rows), (other, others) = read_vector_table(first), read_vector_table(second)
    assert made_by == other and len(rows) == len(others)
    for row, another in zip(rows, others, strict=True):
        assert {**vars(row), "vector": 0} == {**vars(another), "vector": 0}
        np.testing.assert_allclose(row.vector, another.vector, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", "1", "--engine", "dask"], "engine 'dask' is unknown"),
        (["--engine", "ray"], "--engine ray needs --workers"),
        (["--min-data", "-1"], "--min-data -1: expected a share"),
        (["--overlap", "20"], "windows of 32 px that overlap by 20 px"),
        (["--clouds"], "clouds"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: list[str], message: str, scenes: Path, band_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = [str(band_model), "--inputs", str(scenes), *SENSOR, "--side", "32", "--out", str(tmp_path)]
    assert EMBED([*fixed, *words]) == 1
    assert message in capsys.readouterr().err
