"""Files of similarity maps: on the image's grid, one layer and one panel a query."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from eocore.predict.image_files import ImageFile, read_images
from eocore.sensors.scene import Georeference, Scene
from ms_clip.dense.map_files import draw_maps, write_map_tif

QUERIES = ["water", "bare ground"]


@pytest.fixture(scope="module")
def scene(chips: Path) -> Scene:
    path = sorted((chips / "test" / "multispectral").rglob("*.tif"))[0]
    return read_images({"optical": ImageFile((str(path),), sensor="sentinel2_l2a")})["multispectral"]


def test_files_lie_where_the_image_lies(scene: Scene, tmp_path: Path) -> None:
    maps = np.random.default_rng(0).uniform(-1, 1, (2, *scene.size)).astype(np.float32)
    maps[:, 3] = np.nan
    assert scene.georeference is not None
    assert write_map_tif(tmp_path / "map.tif", scene, maps=maps, queries=QUERIES)
    with rasterio.open(tmp_path / "map.tif") as file, rasterio.open(scene.path) as image:
        assert file.transform == image.transform and file.crs == image.crs and file.descriptions == tuple(QUERIES)
        np.testing.assert_array_equal(file.read(), maps)
        assert np.isnan(file.nodata)
    assert draw_maps(scene, maps, queries=QUERIES).startswith(b"\x89PNG")


def test_many_texts_stand_in_rows(scene: Scene) -> None:
    queries = [f"text {number}, long enough to be broken into lines above its panel" for number in range(7)]
    size = {
        count: Image.open(io.BytesIO(draw_maps(scene, np.zeros((count, *scene.size)), queries=queries[:count]))).size for count in (2, 4, 7)
    }
    assert size[2][0] < size[4][0] == size[7][0] and size[2][1] == size[4][1] == size[7][1] / 2


def test_an_image_without_a_place_has_no_geotiff(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = replace(scene, georeference=None)
    assert not write_map_tif(tmp_path / "map.tif", nowhere, maps=np.zeros((1, *scene.size)), queries=["water"])
    assert not (tmp_path / "map.tif").exists() and "none as GeoTIFF" in capsys.readouterr().err


def test_an_image_at_tie_points_is_on_no_grid(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scene.georeference is not None
    loose = replace(scene, georeference=Georeference(scene.georeference.crs, scene.georeference.transform, misfit_px=40.0))
    assert not write_map_tif(tmp_path / "map.tif", loose, maps=np.zeros((1, *scene.size)), queries=["water"])
    assert "lies at tie points, up to 40.0 px off any grid" in capsys.readouterr().err
