import io

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.warp import transform_geom

from eocore.errors import DataError
from eocore.serve.mask_files import geotiff, mask_features
from eocore.serve.requests import MaskGrid

CRS = rasterio.CRS.from_epsg(32633)
GRID = MaskGrid("rgb", (20, 30), CRS.to_wkt(), (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_400_000.0))


@pytest.fixture
def masks() -> np.ndarray:
    found = np.zeros((2, 20, 30), bool)
    found[0, 2:8, 5:15] = True
    found[0, 4:6, 8:10] = False  # a hole
    found[0, 15:18, 20:22] = True
    return found


def test_polygons_have_holes_area_and_place(masks: np.ndarray) -> None:
    whole, empty = mask_features(masks, GRID, phrases=["the roof", ""])["features"]
    assert whole["properties"] == {"mask": 0, "phrase": "the roof", "pixels": 62, "area_m2": pytest.approx(6200, rel=2e-3)}
    assert empty["geometry"] is None and empty["properties"]["pixels"] == 0
    back = shapely.geometry.shape(transform_geom("EPSG:4326", CRS, whole["geometry"]))
    assert len(back.geoms) == 2 and sum(len(part.interiors) for part in back.geoms) == 1
    assert back.area == pytest.approx(6200, rel=1e-3)
    assert back.bounds == pytest.approx((500_050, 5_399_820, 500_220, 5_399_980), abs=0.1)


def test_a_geotiff_has_a_layer_for_each_mask(masks: np.ndarray) -> None:
    with rasterio.open(io.BytesIO(geotiff(masks, GRID, phrases=["the roof", ""]))) as raster:
        assert raster.crs == CRS and raster.transform[2] == 500_000 and raster.descriptions == ("the roof", "mask 2")
        np.testing.assert_array_equal(raster.read().astype(bool), masks)


def test_an_image_without_a_place(masks: np.ndarray) -> None:
    nowhere = MaskGrid("rgb", (20, 30))
    with pytest.raises(DataError, match="does not say where it lies"):
        mask_features(masks, nowhere, phrases=["", ""])
    with rasterio.open(io.BytesIO(geotiff(masks, nowhere, phrases=["", ""]))) as raster:
        assert raster.crs is None and raster.count == 2


def test_no_mask_is_no_layer() -> None:
    with pytest.raises(DataError, match="holds no mask"):
        geotiff(np.zeros((0, 20, 30), bool), GRID, phrases=[])
