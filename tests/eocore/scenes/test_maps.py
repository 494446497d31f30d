"""From a scene to its maps: windows scored, blended, decided, written; stopped and resumed; nodata, refused and unreadable windows."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from scene_files import PLACE, WaterIndex, lake, map_request, write_scene

from eocore.data.records import ImageRef
from eocore.errors import AlignmentError, ConfigError, DataError, OutputError
from eocore.scenes.cutting import scene_source
from eocore.scenes.decisions import NODATA
from eocore.scenes.maps import make_maps
from eocore.scenes.source import SceneSource

HEIGHT, WIDTH = 150, 210
WATER = lake(HEIGHT, WIDTH)


def classes(folder: Path) -> np.ndarray:
    with rasterio.open(folder / "out" / "classes.tif") as source:
        found: np.ndarray = source.read(1)
    return found


def test_a_lake_becomes_a_map_with_polygons_and_a_summary(tmp_path: Path, model: Callable[..., WaterIndex]) -> None:
    seen = model().seen
    result = make_maps(map_request(tmp_path, write_scene(tmp_path / "s2.tif", WATER), formats=("gpkg", "parquet")))
    np.testing.assert_array_equal(classes(tmp_path), np.where(WATER, 1, 2))
    with rasterio.open(tmp_path / "out" / "values.tif") as source:
        assert source.descriptions == ("water", "land") and source.transform == PLACE and source.crs.to_epsg() == 32632
        assert (source.read(1)[WATER] > 0.5).all() and (source.read(1)[~WATER] < 0.5).all()
    assert [file.name for file in result.files] == [
        "classes.tif",
        "values.tif",
        "polygons.gpkg",
        "polygons.parquet",
        "overview.png",
        "report.html",
        "map.json",
        "item.json",
    ]
    summary = json.loads((tmp_path / "out" / "map.json").read_text())
    assert summary == result.summary
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(word in page for word in ("water", f"{int(WATER.sum()):,}", "0.78", "data:image/png"))
    item = json.loads((tmp_path / "out" / "item.json").read_text())
    assert set(item["assets"]) == {file.name.replace(".", "_") for file in result.files} - {"item_json"}
    assert summary["pixels"] == {"none of them": 0, "no data": 0, "water": int(WATER.sum()), "land": int((~WATER).sum())}
    assert summary["windows"] == {"all": 20, "failed": {}} and len(set(seen)) == len(seen) == 20
    assert summary["polygons"] == {"written": 2, "too_small": 0, "by_class": {"water": 1, "land": 1}}


def test_a_run_that_was_stopped_scores_the_rest_and_ends_with_the_same_maps(tmp_path: Path, model: Callable[..., WaterIndex]) -> None:
    scene = write_scene(tmp_path / "s2.tif", WATER)
    model()
    make_maps(map_request(tmp_path, scene, out=tmp_path / "whole"))
    refused = model(refused=["0_0", "86_146"])
    with pytest.raises(DataError, match=r"2 of 20 windows \(row_column\) have no result, so nothing was written: 0_0: window 0_0 is ref"):
        make_maps(map_request(tmp_path, scene))
    assert len(set(refused.seen)) == 18 and not (tmp_path / "out" / "classes.tif").exists()
    rest = model()
    make_maps(map_request(tmp_path, scene))
    assert sorted(rest.seen) == ["0_0", "86_146"]
    for name in ("classes.tif", "values.tif", "polygons.gpkg"):
        assert (tmp_path / "out" / name).stat().st_size == (tmp_path / "whole" / name).stat().st_size
    for name in ("classes.tif", "values.tif"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    again = model()
    make_maps(map_request(tmp_path, scene, threshold=0.99))
    assert again.seen == [] and (classes(tmp_path) == 0).any()


def test_another_request_in_the_same_folder_is_refused(tmp_path: Path, model: Callable[..., WaterIndex]) -> None:
    scene = write_scene(tmp_path / "s2.tif", WATER)
    model()
    first = map_request(tmp_path, scene)
    make_maps(first)
    other = replace(first, windows=replace(first.windows, prompts=("land",)))
    with pytest.raises(DataError, match=r"holds a job with another .*prompts"):
        make_maps(other)
    make_maps(replace(other, overwrite=True))
    write_scene(scene, ~WATER)
    with pytest.raises(DataError, match=r"holds a job with another .*images"):
        make_maps(other)


def test_what_cannot_be_scored_is_marked_where_that_is_chosen(tmp_path: Path, model: Callable[..., WaterIndex]) -> None:
    model(refused=["0_0"])
    result = make_maps(map_request(tmp_path, write_scene(tmp_path / "s2.tif", WATER), unreadable="mark"))
    assert result.summary["windows"]["failed"] == {"0_0": "window 0_0 is refused"}
    found = classes(tmp_path)
    assert (found[:29, :36] == NODATA).all() and result.summary["pixels"]["no data"] == (found == NODATA).sum() == 29 * 36


def test_a_broken_block_stops_or_is_marked(tmp_path: Path, model: Callable[..., WaterIndex]) -> None:
    scene = write_scene(tmp_path / "s2.tif", WATER)
    with rasterio.open(scene) as source:
        offset, size = (int(source.get_tag_item(f"BLOCK_{word}_3_3", "TIFF", bidx=1)) for word in ("OFFSET", "SIZE"))
    with scene.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * size)
    model()
    with pytest.raises(DataError, match=r"windows .* have no result"):
        make_maps(map_request(tmp_path, scene))
    result = make_maps(map_request(tmp_path, scene, unreadable="mark"))
    assert 0 < len(result.summary["windows"]["failed"]) < 20 and 0 < result.summary["pixels"]["no data"] < HEIGHT * WIDTH


def test_nodata_stays_nodata_and_empty_windows_are_not_scored(tmp_path: Path, model: Callable[..., WaterIndex]) -> None:
    wedge = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) < 130
    seen = model().seen
    make_maps(map_request(tmp_path, write_scene(tmp_path / "s2.tif", WATER, empty=wedge)))
    np.testing.assert_array_equal(classes(tmp_path), np.where(wedge, NODATA, np.where(WATER, 1, 2)))
    assert "0_0" not in seen and len(seen) == 19


@pytest.mark.parametrize("size", [(40, 300), (20, 20)])
def test_a_scene_smaller_than_a_window(tmp_path: Path, model: Callable[..., WaterIndex], size: tuple[int, int]) -> None:
    model()
    water = lake(*size)
    make_maps(map_request(tmp_path, write_scene(tmp_path / "s2.tif", water)))
    np.testing.assert_array_equal(classes(tmp_path), np.where(water, 1, 2))


def test_a_part_of_a_scene_lies_where_it_is(tmp_path: Path, model: Callable[..., WaterIndex]) -> None:
    model()
    own = map_request(tmp_path, write_scene(tmp_path / "s2.tif", WATER))
    ref = replace(own.windows.source.refs["multispectral"], window=(30, 50, 80, 100))
    make_maps(replace(own, windows=replace(own.windows, source=SceneSource({"multispectral": ref}))))
    np.testing.assert_array_equal(classes(tmp_path), np.where(WATER, 1, 2)[30:110, 50:150])
    with rasterio.open(tmp_path / "out" / "classes.tif") as source:
        assert (source.transform.c, source.transform.f) == (500_500, 4_999_700)


def test_shifted_tilings_give_nearly_the_same_map_where_windows_disagree(tmp_path: Path, model: Callable[..., WaterIndex]) -> None:
    """Within 1 % of the pixels where windows are blended, and not where they are not."""
    scene = write_scene(tmp_path / "s2.tif", WATER)
    found = {}
    for overlap in (0, 24, 32):
        model(shift=2.0)
        make_maps(map_request(tmp_path, scene, overlap=overlap, out=tmp_path / str(overlap), threshold=0.6))
        with rasterio.open(tmp_path / str(overlap) / "values.tif") as source:
            logits = np.log(source.read(1) / (1 - source.read(1)))
        found[overlap] = np.abs(np.diff(np.where(WATER, np.nan, logits), axis=1))
    steps = {overlap: float(np.nanmax(step)) for overlap, step in found.items()}
    assert steps[0] > 0.5 > 4 * steps[24] / 2 and steps[32] < 0.25


def test_images_on_other_grids_and_without_a_place_are_refused(tmp_path: Path, model: Callable[..., WaterIndex]) -> None:
    model()
    scene = write_scene(tmp_path / "s2.tif", WATER)
    other = write_scene(tmp_path / "other.tif", WATER, transform=Affine(10, 0, 500_005, 0, -10, 5_000_000))
    own = map_request(tmp_path, scene)
    refs = {**own.windows.source.refs, "before": ImageRef("before", "sentinel2_l2a", (str(other),))}
    with pytest.raises(
        AlignmentError, match=r"other.tif \(before: 150 x 210 px .*does not lie on the pixel grid of .*s2.tif.*--grid multispectral"
    ):
        make_maps(replace(own, windows=replace(own.windows, source=SceneSource(refs))))
    write_scene(scene, WATER, crs=None)
    with pytest.raises(DataError, match=r"s2.tif does not say where its pixels lie .*Georeference it"):
        make_maps(own)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ("shp",)}, "--format shp: choices are gpkg"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"overlap": 40}, "overlap by 40 px"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, model: Callable[..., WaterIndex], options: dict[str, Any], message: str
) -> None:
    model()
    with pytest.raises(ConfigError, match=message):
        make_maps(map_request(tmp_path, write_scene(tmp_path / "s2.tif", WATER), **options))


def test_an_area_is_mapped_alone(tmp_path: Path, model: Callable[..., WaterIndex]) -> None:
    seen = model().seen
    scene = write_scene(tmp_path / "s2.tif", WATER)
    ring = [[500_500, 4_999_700], [501_500, 4_999_700], [501_500, 4_998_900], [500_500, 4_999_700]]
    crs = {"type": "name", "properties": {"name": "EPSG:32632"}}
    (tmp_path / "area.json").write_text(json.dumps({"type": "Polygon", "coordinates": [ring], "crs": crs}))
    own = map_request(tmp_path, scene)
    source = scene_source(own.windows.source.refs, area=tmp_path / "area.json")
    make_maps(replace(own, windows=replace(own.windows, source=source)))
    found = classes(tmp_path)
    assert found.shape == (80, 100) and len(seen) < 20
    rows, columns = np.indices((80, 100)) + 0.5
    inside = columns / 100 > rows / 80
    np.testing.assert_array_equal(found[inside], np.where(WATER, 1, 2)[30:110, 50:150][inside])
    assert (found[columns / 100 < rows / 80] == NODATA).all()


@pytest.mark.parametrize("prompts", [(), ("water", "water"), ("water", " ")])
def test_prompts_are_told_apart(tmp_path: Path, prompts: tuple[str, ...]) -> None:
    own = map_request(tmp_path, tmp_path / "none.tif")
    with pytest.raises(ConfigError, match=rf"{len(prompts)} prompts .*expected 1 to 254"):
        replace(own, windows=replace(own.windows, prompts=prompts))


def test_prompts_do_not_take_the_names_of_a_map(tmp_path: Path) -> None:
    own = map_request(tmp_path, tmp_path / "none.tif")
    with pytest.raises(ConfigError, match="are what a map calls pixels of no prompt"):
        replace(own, windows=replace(own.windows, prompts=("no data",)))


def test_a_full_disk_says_so_and_the_run_resumes(
    tmp_path: Path, model: Callable[..., WaterIndex], limit_file_size: Callable[[int | None], None]
) -> None:
    own = map_request(tmp_path, write_scene(tmp_path / "s2.tif", WATER))
    model()
    limit_file_size(60_000)
    with pytest.raises(OutputError):
        make_maps(own)
    limit_file_size(None)
    assert not (tmp_path / "out" / "classes.tif").exists()
    make_maps(own)
    np.testing.assert_array_equal(classes(tmp_path), np.where(WATER, 1, 2))


def test_other_programs_open_what_was_written_and_areas_are_those_of_the_mask(tmp_path: Path, model: Callable[..., WaterIndex]) -> None:
    """A lake with an island, and a wedge without data, as at the end of a swath."""
    cogeo = pytest.importorskip("rio_cogeo.cogeo", reason="rio-cogeo (extra dev) is not installed")
    validators = pytest.importorskip("pystac.validation.stac_validator", reason="pystac (extra dev) is not installed")
    geopandas = pytest.importorskip("geopandas", reason="geopandas (extra scenes) is not installed")
    model()
    rows, columns = np.indices((500, 620))
    wedge = rows + 2 * columns < 300
    water = lake(500, 620) & ((rows - 250) ** 2 + (columns - 310) ** 2 > 60**2)
    scene = write_scene(tmp_path / "s2.tif", water, empty=wedge)
    result = make_maps(map_request(tmp_path, scene, formats=("gpkg", "geojson", "parquet")))
    for name in ("classes.tif", "values.tif"):
        assert cogeo.cog_validate(tmp_path / "out" / name) == (True, [], [])
    own = json.loads((tmp_path / "out" / "item.json").read_text())
    validators.JsonSchemaSTACValidator().validate_core(own, "Feature", "1.1.0")
    masks = {"water": water & ~wedge, "land": ~water & ~wedge}
    for frame in (
        geopandas.read_file(tmp_path / "out" / "polygons.gpkg", engine="pyogrio"),
        geopandas.read_file(tmp_path / "out" / "polygons.geojson", engine="pyogrio").to_crs(32632),
        geopandas.read_parquet(tmp_path / "out" / "polygons.parquet"),
    ):
        assert frame.geometry.is_valid.all() and len(frame) == result.summary["polygons"]["written"] == 3
        for name, mask in masks.items():
            found = frame[frame.label == name]
            assert found.geometry.area.sum() == pytest.approx(100 * mask.sum(), rel=0.005)
            assert found.area_m2.sum() == pytest.approx(100 * mask.sum(), rel=0.005)
    (sea,) = frame[frame.label == "water"].geometry
    assert len(sea.interiors) == 1
