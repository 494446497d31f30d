import io
import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from PIL import Image

from eocore.errors import ConfigError
from eocore.serve.requests import MaskGrid
from eocore.serve.views.mask_results import area_m2, describe_area, file_stem, mask_file, mask_frame, overlay_png

UTM = MaskGrid("multispectral", (40, 50), rasterio.crs.CRS.from_epsg(32632).to_wkt(), (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_400_000.0))
NOWHERE = MaskGrid("rgb", (40, 50))


def square(top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((40, 50), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_areas_are_those_of_the_ground() -> None:
    assert area_m2(square(2, 3, 10), grid=UTM) == pytest.approx(10_000)
    degrees = MaskGrid("sar", (40, 50), rasterio.crs.CRS.from_epsg(4326).to_wkt(), (1e-4, 0.0, 8.0, 0.0, -1e-4, 60.0))
    # a degree of latitude is 111.4 km at 60 N, one of longitude 55.8 km (WGS 84): pixels of 11.14 x 5.58 m
    assert area_m2(square(0, 0, 10), grid=degrees) == pytest.approx(100 * 11.14 * 5.58, rel=2e-3)
    assert np.isnan(area_m2(square(0, 0, 10), grid=NOWHERE))
    assert area_m2(np.zeros((40, 50), bool), grid=UTM) == 0


@pytest.mark.parametrize(("value", "text"), [(950.4, "950 m²"), (12_345, "1.23 ha"), (2.5e8, "250.0 km²"), (float("nan"), "")])
def test_areas_are_told_in_fitting_units(value: float, text: str) -> None:
    assert describe_area(value) == text


def test_masks_in_parts_stay_one_row() -> None:
    frame = mask_frame([square(0, 0, 4) | square(20, 20, 6)], ["lakes"], grid=UTM)
    assert frame.label.tolist() == ["lakes"] and frame.pixels.tolist() == [52] and len(frame.geometry[0].geoms) == 2


def test_files_hold_every_mask(tmp_path: Path) -> None:
    masks, names = [square(2, 3, 10), square(20, 20, 5)], ["Mask 1: water", "Mask 2"]
    content = {ending: mask_file(masks, names, grid=UTM, ending=ending) for ending in ("png", "tif", "geojson", "gpkg")}
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content["png"]))) > 0, masks[0] | masks[1])
    with rasterio.MemoryFile(content["tif"]) as memory, memory.open() as file:
        assert np.array_equal(file.read() > 0, np.stack(masks))
        assert file.descriptions == tuple(names) and file.crs.to_epsg() == 32632 and file.transform.a == 10
    features = json.loads(content["geojson"])["features"]
    assert [each["properties"]["label"] for each in features] == names
    assert features[0]["geometry"]["coordinates"][0][0][0] == pytest.approx((9.0, 48.75), abs=0.01)  # WGS 84
    (tmp_path / "a.gpkg").write_bytes(content["gpkg"])
    frame = geopandas.read_file(tmp_path / "a.gpkg", layer="masks")
    assert frame.area_m2.tolist() == pytest.approx([10_000, 2_500]) and frame.crs.to_epsg() == 32632


@pytest.mark.parametrize("ending", ["tif", "geojson", "gpkg"])
def test_without_a_place_there_is_the_png_alone(ending: str) -> None:
    with pytest.raises(ConfigError, match=r"does not say where it lies.*Take the PNG"):
        mask_file([square(0, 0, 4)], ["a"], grid=NOWHERE, ending=ending)
    assert mask_file([square(0, 0, 4)], ["a"], grid=NOWHERE, ending="png")


def test_other_formats_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"not written as 'shp'; formats: png, tif, geojson, gpkg"):
        mask_file([square(0, 0, 4)], ["a"], grid=UTM, ending="shp")


def test_an_overlay_is_clear_outside_and_full_at_its_border() -> None:
    drawn = np.asarray(Image.open(io.BytesIO(overlay_png(square(5, 5, 10), colour="#e6194b"))).convert("RGBA"))
    assert tuple(drawn[0, 0]) == (0, 0, 0, 0)
    assert tuple(drawn[5, 5]) == (230, 25, 75, 255)
    assert tuple(drawn[10, 10]) == (230, 25, 75, 190)


@pytest.mark.parametrize(("text", "stem"), [("Mask 1: the lake/../in <b>", "Mask-1-the-lake-in-b"), ("…", "mask"), ("a" * 99, "a" * 60)])
def test_names_of_files_hold_plain_characters(text: str, stem: str) -> None:
    assert file_stem(text) == stem
