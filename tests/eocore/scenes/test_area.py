"""Areas of interest: read, laid on a scene, cut out of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from rasterio.crs import CRS
from rasterio.warp import transform_geom

from eocore.errors import DataError
from eocore.scenes.area import read_area
from eocore.scenes.place import Place
from eocore.sensors.scene import Georeference

UTM = CRS.from_epsg(32632)
PLACE = Place(150, 210, Georeference(UTM.to_wkt(), (10, 0, 500_000, 0, -10, 5_000_000)))


def write(path: Path, *boxes: tuple[float, float, float, float], crs: str | None = None) -> Path:
    """Boxes of the scene's plane as features, in WGS 84 or in the plane itself."""
    shapes = [shapely.geometry.mapping(shapely.box(*box)) for box in boxes]
    if crs is None:
        shapes = [transform_geom(UTM, "EPSG:4326", shape) for shape in shapes]
    named = {"crs": {"type": "name", "properties": {"name": crs}}} if crs else {}
    features = [{"type": "Feature", "properties": {}, "geometry": shape} for shape in shapes]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **named}))
    return path


@pytest.mark.parametrize("crs", [None, "urn:ogc:def:crs:EPSG::32632"])
def test_an_area_is_cut_out_of_the_scene(tmp_path: Path, crs: str | None) -> None:
    area = read_area(write(tmp_path / "a.json", (500_300, 4_999_000, 500_500, 4_999_600), crs=crs), crs=UTM.to_wkt())
    row, col, height, width = area.window(PLACE, source="a.json")
    tolerance = 0 if crs else 1  # sides that are straight in degrees are curved in the plane, by a fraction of a pixel
    assert np.abs(np.array([row, col, height, width]) - (40, 30, 60, 20)).max() <= tolerance
    inside = area.inside(PLACE.georeference.transform, (150, 210))
    assert abs(int(inside.sum()) - 60 * 20) <= 80 * tolerance and inside[41:99, 31:49].all()


def test_several_polygons_are_one_area_and_what_leaves_the_scene_is_cut_off(tmp_path: Path) -> None:
    boxes = (490_000, 4_999_900, 500_100, 5_010_000), (500_200, 4_999_700, 500_300, 4_999_800)
    area = read_area(write(tmp_path / "a.json", *boxes, crs="EPSG:32632"), crs=UTM.to_wkt())
    assert area.window(PLACE, source="a") == (0, 0, 30, 30)
    assert int(area.inside(PLACE.georeference.transform, (150, 210)).sum()) == 10 * 10 + 10 * 10


def test_an_area_elsewhere_is_refused(tmp_path: Path) -> None:
    area = read_area(write(tmp_path / "a.json", (400_000, 4_999_000, 400_100, 4_999_100)), crs=UTM.to_wkt())
    with pytest.raises(DataError, match=r"a.json: the area lies outside of the scene \(150 x 210 px of 10 from 500000, 5e\+06\)"):
        area.window(PLACE, source="a.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no GeoJSON of an area"),
        ({"type": "Point", "coordinates": [1, 2]}, "holds Point; an area is made of polygons"),
        ({"type": "FeatureCollection", "features": []}, "holds no geometry"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}, "is not valid .*Self-intersection"),
        ({"features": []}, "no GeoJSON of an area"),
    ],
)
def test_files_that_hold_no_area_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=message):
        read_area(path, crs=UTM.to_wkt())
