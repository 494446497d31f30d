"""Filters by sensor, date, clouds and place; what is not known never fits; what cannot be is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import box

from eocore.errors import ConfigError, DataError
from eocore.search.documents import Document, as_table
from eocore.search.filters import Filters, parse_box, read_area

geopandas = pytest.importorskip("geopandas", reason="geopandas is not installed (extra: search)")
TABLE = as_table(
    [
        Document("0", time="2024-05-31", sensor="sentinel2_l2a", cloud_cover=5, footprint=box(11, 48, 12, 49)),
        Document("1", time="2024-06-01T10:15:00Z", sensor="sentinel2_l2a+sentinel1_grd", cloud_cover=80, footprint=box(179, -1, 180, 0)),
        Document("2", time="2023-01-01T00:00:00+02:00", sensor="landsat8_c2l2", footprint=box(-180, -1, -179, 0)),
        Document("3"),
    ]
)


def fitting(**fields: Any) -> list[int]:
    found = Filters(**fields).fitting(TABLE)
    assert found is not None
    return [row for row, fits in enumerate(found) if fits]


@pytest.mark.parametrize(
    ("fields", "rows"),
    [
        ({"sensors": ("sentinel1_grd",)}, [1]),
        ({"sensors": ("sentinel2_l2a", "landsat8_c2l2")}, [0, 1, 2]),
        ({"since": "2024-05-31"}, [0, 1]),
        ({"since": "2024-06-01T10:15:00Z"}, [1]),
        ({"since": "2024-06-01T12:15:00+02:00"}, [1]),
        ({"until": "2024-06-01"}, [0, 1, 2]),
        ({"until": "2024-05-31"}, [0, 2]),
        ({"until": "2024-06-01T10:00:00Z"}, [0, 2]),
        ({"since": "2023-01-01", "until": "2023-12-31"}, []),
        ({"since": "2022-12-31", "until": "2022-12-31"}, [2]),
        ({"max_cloud": 5.0}, [0]),
        ({"area": parse_box("11.5,48.5,20,50")}, [0]),
        ({"area": parse_box("178,-5,-178,5")}, [1, 2]),
        ({"area": parse_box("12,49,13,50")}, [0]),
        ({"area": parse_box("20,20,21,21")}, []),
        ({"area": parse_box("-180,-90,180,90"), "max_cloud": 90.0}, [0, 1]),
    ],
)
def test_what_fits(fields: dict[str, Any], rows: list[int]) -> None:
    assert fitting(**fields) == rows


def test_nothing_asked_for_is_no_filter() -> None:
    assert Filters().fitting(TABLE) is None


def test_how_many_are_not_known_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    fitting(max_cloud=10.0)
    assert "2 of 4 items have no known cloud cover: they do not fit" in capsys.readouterr().err


def test_a_filter_by_what_is_known_of_none_is_refused() -> None:
    with pytest.raises(DataError, match="no item of this index has a known footprint, so none can fit"):
        Filters(area=parse_box("0,0,1,1")).fitting(TABLE.iloc[3:])
    with pytest.raises(DataError, match="no item of this index has a known date"):
        Filters(since="2024-01-01").fitting(TABLE.iloc[3:])


def test_an_unknown_sensor_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        DataError, match=r"no item is of sensor 'sentinel2'\. Did you mean '.*'\? Sensors of this index: landsat8_c2l2; sent"
    ):
        fitting(sensors=("sentinel2",))


@pytest.mark.parametrize("fields", [{"since": "May"}, {"until": "2024-13-01"}])
def test_what_is_no_date_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="expected an ISO 8601 date"):
        Filters(**fields)  # type: ignore[arg-type]


def test_clouds_are_percent() -> None:
    with pytest.raises(ConfigError, match=r"--max-cloud 101: expected a share"):
        Filters(max_cloud=101)


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "0,10,1,5", "0,0,200,1", "0,-91,1,0", "nan,0,1,1"])
def test_what_is_no_box_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--box"):
        parse_box(text)


def test_areas_are_read_in_their_own_coordinates(tmp_path: Path) -> None:
    shapes = geopandas.GeoSeries([box(11.4, 48.4, 11.6, 48.6)], crs="EPSG:4326")
    shapes.to_crs("EPSG:32632").to_file(tmp_path / "area.gpkg")
    assert fitting(area=read_area(tmp_path / "area.gpkg")) == [0]


@pytest.mark.parametrize("content", ["{", json.dumps({"type": "FeatureCollection", "features": []}), "hello"])
def test_what_is_no_area_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "area.geojson").write_text(content)
    with pytest.raises(DataError, match=r"area\.geojson: "):
        read_area(tmp_path / "area.geojson")


def test_a_missing_area_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file of areas that can be read"):
        read_area(tmp_path / "none.geojson")
