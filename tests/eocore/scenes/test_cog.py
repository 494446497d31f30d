"""Maps as files: cloud-optimised, whole or not at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from eocore.errors import OutputError
from eocore.scenes import cog
from eocore.scenes.cog import CogWriter, Raster
from eocore.scenes.windows import blocks, within
from eocore.sensors.scene import Georeference

PLACE = Georeference(rasterio.crs.CRS.from_epsg(32632).to_wkt(), (10, 0, 500_000, 0, -10, 5_000_000))
HEIGHT, WIDTH = 700, 1100


def write(path: Path, pixels: np.ndarray, **options: Any) -> None:
    settings: dict[str, Any] = {"dtype": str(pixels.dtype), "nodata": 255, "layers": ["class"], **options}
    with CogWriter(path, Raster(height=HEIGHT, width=WIDTH, georeference=PLACE, **settings)) as target:
        for block in blocks(HEIGHT, WIDTH, side=512):
            target.write(block, pixels[:, *within(block, (0, 0, HEIGHT, WIDTH))])


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, (1, HEIGHT, WIDTH)).astype(np.uint8)


def test_a_map_is_a_valid_cog_with_its_pixels_names_and_place(tmp_path: Path, pixels: np.ndarray) -> None:
    path = tmp_path / "out" / "classes.tif"
    write(path, pixels, categories=True, tags={"classes": "water"})
    with rasterio.open(path) as source:
        np.testing.assert_array_equal(source.read(), pixels)
        assert (source.nodata, source.descriptions, source.tags()["classes"]) == (255, ("class",), "water")
        assert source.transform[:6] == PLACE.transform and source.crs.to_epsg() == 32632
        assert source.overviews(1)
        assert set(np.unique(source.read(1, out_shape=(HEIGHT // 4, WIDTH // 4)))) <= {0, 1, 2, 3}
    assert [file.name for file in path.parent.iterdir()] == ["classes.tif"]


def test_rio_cogeo_finds_no_fault(tmp_path: Path, pixels: np.ndarray) -> None:
    cogeo = pytest.importorskip("rio_cogeo.cogeo", reason="rio-cogeo (extra dev) is not installed")
    write(tmp_path / "a.tif", pixels)
    valid, errors, warnings = cogeo.cog_validate(tmp_path / "a.tif")
    assert (valid, errors, warnings) == (True, [], [])


def test_an_error_on_the_way_leaves_what_was_there(tmp_path: Path, pixels: np.ndarray) -> None:
    write(tmp_path / "a.tif", pixels)
    before = (tmp_path / "a.tif").read_bytes()
    with (
        pytest.raises(RuntimeError, match="stopped"),
        CogWriter(tmp_path / "a.tif", Raster(height=9, width=9, dtype="uint8", nodata=0, georeference=PLACE, layers=["a"])),
    ):
        raise RuntimeError("stopped")
    assert (tmp_path / "a.tif").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.tif"]


def test_a_file_that_does_not_hold_what_was_written_is_refused(tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(source: Path, target: Path, **options: Any) -> None:
        with rasterio.open(source, "r+") as file:
            file.write(np.zeros((1, 5, 5), np.uint8), window=rasterio.windows.Window(0, 0, 5, 5))
        original(source, target, **options)

    original = cog.copy
    monkeypatch.setattr(cog, "copy", damaged)
    with pytest.raises(OutputError, match=r"does not hold the pixels that were written to it .*disk is full or failing"):
        write(tmp_path / "a.tif", pixels + 1)
    assert list(tmp_path.iterdir()) == []
