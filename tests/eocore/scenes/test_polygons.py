"""Polygons of a class map: holes, areas, scores, formats, the antimeridian."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from eocore.errors import ConfigError
from eocore.scenes.decisions import NODATA
from eocore.scenes.polygons import FORMATS, PolygonOptions, class_polygons, write_polygons

geopandas = pytest.importorskip("geopandas", reason="geopandas (extra scenes) is not installed")
UTM = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def write(path: Path, pixels: np.ndarray, *, crs: str = "EPSG:32632", transform: Affine = UTM) -> Path:
    count, height, width = pixels.shape
    profile: dict[str, Any] = {"height": height, "width": width, "count": count, "dtype": pixels.dtype, "crs": crs, "transform": transform}
    with rasterio.open(path, "w", driver="GTiff", **profile) as target:
        target.write(pixels)
    return path


@pytest.fixture
def classes() -> np.ndarray:
    """A lake of 1 with an island, beside a wood of 2, nodata in a corner."""
    rows, columns = np.indices((120, 160))
    found = np.zeros((120, 160), np.uint8)
    found[:, 80:] = 2
    found[(rows - 60) ** 2 + (columns - 60) ** 2 < 50**2] = 1
    found[(rows - 60) ** 2 + (columns - 60) ** 2 < 15**2] = 0
    found[:10, :10] = NODATA
    found[100, 5] = 1
    return found


@pytest.fixture
def values() -> np.ndarray:
    first = np.broadcast_to(np.linspace(0.5, 1, 160, dtype=np.float32), (120, 160))
    return np.stack([first, np.full((120, 160), 0.75, np.float32)])


def polygons(folder: Path, classes: np.ndarray, values: np.ndarray, **options: Any) -> Any:
    paths = write(folder / "classes.tif", classes[None]), write(folder / "values.tif", values)
    return class_polygons(*paths, names=["lake", "wood"], options=PolygonOptions(**options))


def test_outlines_of_pixels_are_exact(tmp_path: Path, classes: np.ndarray, values: np.ndarray) -> None:
    frame, left_out = polygons(tmp_path, classes, values, simplify_px=0)
    assert left_out == 0 and frame.geometry.is_valid.all()
    for number, label in ((1, "lake"), (2, "wood")):
        own = frame[frame.label == label]
        assert own.area_m2.sum() == pytest.approx(100 * (classes == number).sum())
    lake = frame[frame.label == "lake"].sort_values("area_m2").iloc[-1]
    assert len(lake.geometry.interiors) == 1
    pixels = (classes == 1) & (np.arange(120)[:, None] != 100) | ((classes == 1) & (np.arange(160) > 8))
    assert lake.score == pytest.approx(values[0][pixels].mean(), rel=1e-5)
    assert frame[frame.label == "wood"].score.iloc[0] == pytest.approx(0.75)


def test_simplified_outlines_keep_areas_holes_and_neighbours(tmp_path: Path, classes: np.ndarray, values: np.ndarray) -> None:
    exact, _ = polygons(tmp_path, classes, values, simplify_px=0)
    frame, left_out = polygons(tmp_path, classes, values, min_area_px=4)
    assert left_out == 1 and frame.geometry.is_valid.all()
    for label in ("lake", "wood"):
        assert frame[frame.label == label].area_m2.sum() == pytest.approx(exact[exact.label == label].area_m2.sum(), rel=0.005)
    lake, wood = (frame[frame.label == label].geometry.iloc[0] for label in ("lake", "wood"))
    assert len(lake.interiors) == 1
    assert lake.intersection(wood).area < 1e-6
    assert sum(map(len, (part.exterior.coords for part in frame.geometry))) < 0.7 * sum(
        map(len, (part.exterior.coords for part in exact.geometry))
    )


def test_blocks_do_not_change_scores(tmp_path: Path, classes: np.ndarray, values: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = polygons(tmp_path, classes, values)
    monkeypatch.setattr("eocore.scenes.polygons.BLOCK", 50)
    parts, _ = polygons(tmp_path, classes, values)
    np.testing.assert_allclose(parts.score, whole.score, rtol=1e-6)


def test_every_format_is_read_again(tmp_path: Path, classes: np.ndarray, values: np.ndarray) -> None:
    frame, _ = polygons(tmp_path, classes, values)
    for path in write_polygons(frame, tmp_path / "out", formats=list(FORMATS)):
        found = geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path)
        assert len(found) == len(frame) and list(found.label) == list(frame.label)
        assert found.geometry.is_valid.all()
        assert found.to_crs(frame.crs).area.sum() == pytest.approx(frame.area.sum(), rel=1e-4), path
        assert found.crs.to_epsg() == (4326 if path.suffix == ".geojson" else 32632)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["polygons.geojson", "polygons.gpkg", "polygons.parquet"]


def test_areas_of_degrees_are_those_on_the_ground(tmp_path: Path) -> None:
    """0.1 degrees square at 60 degrees north: half as wide as high."""
    grid = Affine(0.001, 0, 10, 0, -0.001, 60)
    classes = write(tmp_path / "c.tif", np.ones((1, 100, 100), np.uint8), crs="EPSG:4326", transform=grid)
    values = write(tmp_path / "v.tif", np.ones((1, 100, 100), np.float32), crs="EPSG:4326", transform=grid)
    frame, _ = class_polygons(classes, values, names=["all"])
    geod_m2 = 62_261_340  # of pyproj.Geod(ellps="WGS84").geometry_area_perimeter(box(10, 59.9, 10.1, 60))
    assert frame.area_m2.iloc[0] == pytest.approx(geod_m2, rel=0.005)


def test_a_polygon_across_the_antimeridian_is_cut_there_in_geojson(tmp_path: Path) -> None:
    """UTM zone 60 ends at 180 degrees east; a scene of it goes on."""
    grid = Affine(100, 0, 810_000, 0, -100, 8_000_000)
    classes = write(tmp_path / "c.tif", np.ones((1, 200, 500), np.uint8), crs="EPSG:32760", transform=grid)
    values = write(tmp_path / "v.tif", np.ones((1, 200, 500), np.float32), crs="EPSG:32760", transform=grid)
    frame, _ = class_polygons(classes, values, names=["sea"])
    (path,) = write_polygons(frame, tmp_path, formats=["geojson"])
    (geometry,) = geopandas.read_file(path).geometry
    assert geometry.geom_type == "MultiPolygon" and geometry.is_valid
    assert all(part.bounds[2] - part.bounds[0] < 1 for part in geometry.geoms)


def test_a_map_without_any_class_has_no_polygons(tmp_path: Path, values: np.ndarray) -> None:
    frame, left_out = polygons(tmp_path, np.zeros((120, 160), np.uint8), values)
    assert (len(frame), left_out) == (0, 0)
    assert len(write_polygons(frame, tmp_path / "out", formats=list(FORMATS))) == 3


def test_sizes_below_zero_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected 0 or more\. Correct --min-area or --simplify"):
        PolygonOptions(simplify_px=-1)
