"""From scenes to a table of vectors that an index is built of: resumed, marked, refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene_files import MeanSpectrum, lake, write_scene

from eocore.data.io.vector_table import read_vector_table
from eocore.errors import DataError
from eocore.predict.image_files import ImageFile
from eocore.predict.items import find_items
from eocore.scenes.embedding import EmbedOptions
from eocore.scenes.vectors import VectorsRequest, VectorsResult, embed_scenes, find_scenes

pytest.importorskip("geopandas", reason="geopandas (extra scenes) is not installed")
Embedder = Callable[[object], None]
SENSOR = {"optical": ImageFile((), sensor="sentinel2_l2a")}


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Two scenes of other sizes, the second with a part without data."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    write_scene(folder / "a.tif", lake(64, 96))
    write_scene(folder / "b.tif", lake(70, 40), empty=np.arange(70)[:, None].repeat(40, axis=1) < 35)
    return folder


def embed(folder: Path, *, unreadable: Any = "stop", **options: Any) -> VectorsResult:
    found, _ = find_scenes(find_items([str(folder)], options=SENSOR), unreadable=unreadable)
    embedding = EmbedOptions(model=folder.parent / "model", scenes=found, batch_size=2, min_data=options.pop("min_data", 0.5))
    return embed_scenes(VectorsRequest(embedding=embedding, out=folder.parent / "out", side=32, unreadable=unreadable, **options))


def test_windows_of_all_scenes_become_rows(scenes: Path, embedder: Embedder) -> None:
    embedder(MeanSpectrum())
    result = embed(scenes)
    assert (result.num_vectors, result.num_empty, result.failed) == (10, 2, {})
    made_by, rows = read_vector_table(result.file)
    assert made_by.path == str(scenes.parent / "model") and len(made_by.digest) == 64
    assert [row.id for row in rows if row.id.startswith("b/")] == ["b/19_0", "b/19_8", "b/38_0", "b/38_8"]
    by_id = {row.id: row for row in rows}
    row = by_id["b/38_8"]
    assert (row.image, row.window, row.sensor) == (str(scenes / "b.tif"), "38,8,32,32", "sentinel2_l2a")
    assert row.footprint is not None and row.footprint.bounds == pytest.approx((9.00102, 45.14718, 9.00509, 45.15006), abs=1e-5)
    assert by_id["a/0_0"].stamp != row.stamp


def test_what_is_done_is_not_done_again_and_changed_scenes_are_refused(scenes: Path, embedder: Embedder) -> None:
    embedder(MeanSpectrum(refused=("32_32",)))
    with pytest.raises(DataError, match=r"1 of 12 windows .* have no result.*a/32_32: window 32_32 is refused"):
        embed(scenes)
    model = MeanSpectrum()
    embedder(model)
    assert embed(scenes).num_vectors == 10 and model.seen == ["32_32"]
    write_scene(scenes / "b.tif", lake(70, 41))
    with pytest.raises(DataError, match="holds a job with another items"):
        embed(scenes)
    assert embed(scenes, overwrite=True).num_vectors == 12


def test_what_cannot_be_read_is_left_out_where_asked_for(scenes: Path, embedder: Embedder, capsys: pytest.CaptureFixture[str]) -> None:
    embedder(MeanSpectrum(refused=("32_32",)))
    (scenes / "c.tif").write_bytes(b"no image")
    write_scene(scenes / "d.tif", lake(40, 40), crs=None)
    with pytest.raises(DataError, match=r"c\.tif"):
        embed(scenes)
    result = embed(scenes, unreadable="mark")
    assert (result.num_vectors, list(result.failed)) == (9, ["a/32_32"])
    told = capsys.readouterr().err
    assert "2 of 4 scenes cannot be read and are left out (c: " in told and "does not say where its pixels lie" in told


def test_without_any_vector_there_is_no_table(scenes: Path, embedder: Embedder) -> None:
    embedder(MeanSpectrum())
    write_scene(scenes / "a.tif", lake(32, 32), empty=np.arange(32)[None].repeat(32, axis=0) < 20)
    (scenes / "b.tif").unlink()
    with pytest.raises(DataError, match=r"none of 1 windows has data in 50 % of its pixels\. Ask for less with --min-data"):
        embed(scenes)
    assert embed(scenes, min_data=0.3, overwrite=True).num_vectors == 1
    with pytest.raises(DataError, match="none of 2 scenes can be read"):
        for name in ("a.tif", "b.tif"):
            (scenes / name).write_bytes(b"no image")
        embed(scenes, unreadable="mark")
