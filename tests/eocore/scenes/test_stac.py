"""The STAC item of a map: valid, in its place, on both sides of the antimeridian."""

import json
from pathlib import Path

import pytest
import shapely
from rasterio.crs import CRS

from eocore.scenes.place import Place
from eocore.scenes.stac import stac_item
from eocore.sensors.scene import Georeference

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema (extra dev) is not installed")
PROJECTED = jsonschema.Draft7Validator(
    {
        "type": "object",
        "properties": {
            "properties": {
                "type": "object",
                "required": ["proj:code", "proj:shape", "proj:transform"],
                "properties": {
                    "proj:code": {"type": ["string", "null"], "pattern": "^[A-Z]+:[0-9]+$"},
                    "proj:shape": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "integer"}},
                    "proj:transform": {"type": "array", "minItems": 6, "maxItems": 9, "items": {"type": "number"}},
                },
            }
        },
    }
)
"""The fields of the projection extension 2.0.0 that an item of a map has, as its text describes them."""
FILES = [Path("classes.tif"), Path("polygons.parquet"), Path("overview.png")]


def place(epsg: int, left: float, top: float, *, pixel: float = 10) -> Place:
    return Place(1000, 2000, Georeference(CRS.from_epsg(epsg).to_wkt(), (pixel, 0, left, 0, -pixel, top)))


def test_an_item_says_where_and_when_and_which_files() -> None:
    item = stac_item("map", place(32632, 500_000, 5_000_000), files=FILES, times=["2024-05-01", ""], properties={"gsd": 10})
    assert item["properties"] == {
        "datetime": "2024-05-01T00:00:00Z",
        "proj:code": "EPSG:32632",
        "proj:shape": [1000, 2000],
        "proj:transform": [10, 0, 500_000, 0, -10, 5_000_000, 0, 0, 1],
        "gsd": 10,
    }
    footprint = shapely.geometry.shape(item["geometry"])
    assert footprint.is_valid and footprint.bounds == pytest.approx(item["bbox"])
    assert item["bbox"] == pytest.approx([9.0, 45.061, 9.254, 45.151], abs=0.01)
    assert {name: asset["roles"] for name, asset in item["assets"].items()} == {
        "classes_tif": ["data"],
        "polygons_parquet": ["data"],
        "overview_png": ["overview"],
    }


def test_pystac_reads_it_and_its_fields_follow_the_core_schema() -> None:
    pystac = pytest.importorskip("pystac", reason="pystac (extra dev) is not installed")
    own = stac_item("map", place(32632, 500_000, 5_000_000), files=FILES, times=["2024-05-01T10:00:00+02:00", "2024-05-03"], properties={})
    own = json.loads(json.dumps(own))  # as it is written
    item = pystac.Item.from_dict(own)
    assert item.datetime.isoformat() == "2024-05-03T00:00:00+00:00"
    assert item.common_metadata.start_datetime.isoformat() == "2024-05-01T08:00:00+00:00"
    assert item.assets["classes_tif"].media_type == pystac.MediaType.COG
    assert item.to_dict()["bbox"] == own["bbox"]
    JsonSchemaSTACValidator = pytest.importorskip("pystac.validation.stac_validator").JsonSchemaSTACValidator
    JsonSchemaSTACValidator().validate_core(own, pystac.STACObjectType.ITEM, "1.1.0")  # pystac brings the schemas of this version
    with pytest.raises(pystac.STACValidationError):
        JsonSchemaSTACValidator().validate_core({**own, "bbox": []}, pystac.STACObjectType.ITEM, "1.1.0")
    assert PROJECTED.is_valid({"properties": own["properties"]})
    assert not PROJECTED.is_valid({"properties": {**own["properties"], "proj:shape": [10]}})


def test_a_map_across_the_antimeridian_is_cut_there() -> None:
    item = stac_item("map", place(32760, 795_000, 8_000_000, pixel=20), files=[], times=[], properties={})
    geometry = shapely.geometry.shape(item["geometry"])
    assert geometry.geom_type == "MultiPolygon" and geometry.is_valid
    west, south, east, north = item["bbox"]
    assert west > 179 and east < -179 and south < north
    assert all(part.bounds[2] - part.bounds[0] < 1 for part in geometry.geoms)


def test_where_no_image_says_when_the_item_says_that() -> None:
    properties = stac_item("map", place(4326, 10, 50, pixel=0.0001), files=[], times=["", ""], properties={})["properties"]
    assert properties["datetime"].endswith("Z") and "do not say" in properties["datetime_source"]
