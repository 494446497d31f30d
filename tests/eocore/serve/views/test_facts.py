from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from eocore.data.records import ImageRef
from eocore.serve.views.facts import date_in, facts
from eocore.serve.views.raster import RasterImage


def test_facts_of_a_placed_raster(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    place = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_400_000, 10, 10)}
    with rasterio.open(path, "w", driver="GTiff", count=12, dtype="uint16", height=50, width=1200, **place) as target:
        target.write(np.full((12, 50, 1200), 1000, np.uint16))
    found = dict(facts(RasterImage(ImageRef("multispectral", "sentinel2_l2a", (str(path),))), names=["S2A_MSIL2A_20240131T101.tif"]))
    assert found["Size"] == "1,200 x 50 px"
    assert found["Pixel"] == "10 m, 12 x 0.5 km"
    assert found["CRS"] == "EPSG:32633"
    assert found["Bands"].startswith("12: B01, B02")
    assert found["Date"] == "2024-01-31"


def test_facts_of_a_picture(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / "a.png")
    found = dict(facts(RasterImage(ImageRef("rgb", "rgb_uint8", (str(tmp_path / "a.png"),))), names=["a.png"]))
    assert found["CRS"] == "not georeferenced" and found["Date"] == "not given" and "Pixel" not in found


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("S2B_MSIL2A_20230704T101559_N0509.SAFE", "2023-07-04"),
        ("forest_2024-06-03.tif", "2024-06-03"),
        ("LC09_L2SP_193026_20240230_20240301_02_T1", "2024-03-01"),  # the first is no date
        ("tile_123456789.tif", ""),
        ("20240131.d/a.tif", ""),
    ],
)
def test_a_date_is_read_from_a_name(name: str, date: str) -> None:
    assert date_in(name) == date
