"""The command line of maps: one scene, many, addresses, a pair of dates; what does not go together is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from range_server import serving
from scene_files import ChangeIndex, SaysWhatCovers, WaterIndex, lake, put_model, write_scene

from eocore.commands.map_scene import COMMAND
from eocore.sensors.bands import get_sensor

SIDE = 96
WATER = lake(SIDE, SIDE)
BANDS = ("B03", "B08")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    write_scene(tmp_path / "a.tif", WATER)
    write_scene(tmp_path / "b.tif", ~WATER)
    return tmp_path


def run(folder: Path, *words: object) -> int:
    fixed = [folder / "model", "--out", folder / "out", "--format", "geojson", "--prompt", "water", "land", "--device", "cpu"]
    return COMMAND([str(word) for word in (*fixed, *words)])


def classes(path: Path) -> np.ndarray:
    with rasterio.open(path / "classes.tif") as source:
        found: np.ndarray = source.read(1)
    return found


def item_of(folder: Path, name: str, url: str, **changes: Any) -> dict[str, Any]:
    """A STAC item of one file a band, of which two are there, beside what is no band."""
    with rasterio.open(folder / "a.tif") as source:
        for band in BANDS:
            layer = get_sensor("sentinel2_l2a").band_names.index(band) + 1
            with rasterio.open(folder / f"{band}.tif", "w", **{**source.profile, "count": 1}) as target:
                target.write(source.read(layer), 1)
    tiff = "image/tiff; application=geotiff; profile=cloud-optimized"
    assets = {
        "green": {"href": f"{url}B03.tif", "type": tiff, "roles": ["data"], "eo:bands": [{"name": "green"}]},
        "green-jp2": {"href": f"{url}B03.jp2", "type": "image/jp2", "roles": ["data"], "eo:bands": [{"name": "green"}]},
        "nir": {"href": f"{url}B08.tif", "type": tiff, "roles": ["data"], "bands": [{"name": "B08"}]},
        "visual": {"href": f"{url}TCI.tif", "type": tiff, "roles": ["visual"], "eo:bands": [{"name": "red"}, {"name": "green"}]},
        "thumbnail": {"href": f"{url}a.jpg", "type": "image/jpeg", "roles": ["thumbnail"]},
    }
    properties = {"datetime": "2024-05-01T10:00:00Z"}
    return {"type": "Feature", "stac_version": "1.0.0", "id": name, "properties": properties, "assets": assets, "geometry": None, **changes}


def test_a_pair_of_dates_makes_a_map_of_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scene(folder / "before.tif", np.zeros_like(WATER))
    put_model(monkeypatch, ChangeIndex())
    assert run(folder, "--before", folder / "before.tif", "--optical", folder / "a.tif") == 0
    np.testing.assert_array_equal(classes(folder / "out") == 1, WATER)
    images = json.loads((folder / "out" / "map.json").read_text())["images"]
    assert images == {"multispectral before": [str(folder / "before.tif")], "multispectral after": [str(folder / "a.tif")]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--before", "before.tif", "--sar", "a.tif", "--sensor", "sar=sentinel1_grd"], "--before shows multispectral, the later date sar"),
        (["--before", "before.tif", "optical=a.tif", "--optical", "a.tif"], "optical=a.tif: another optical image is given (before.tif)"),
        (["--before", "saar=before.tif", "--optical", "a.tif"], "--before saar=before.tif: expected [INPUT=]FILE, with INPUT one of"),
        (["--before", "saar=before.tif", "--optical", "a.tif"], "Did you mean 'sar'?"),
        (["--before", "before.tif", "--optical", "a.tif"], "this model reads images of one moment, found 2 (before, after)"),
    ],
)
def test_pairs_that_are_none_are_refused(
    folder: Path, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scene(folder / "before.tif", np.zeros_like(WATER))
    put_model(monkeypatch, WaterIndex())
    monkeypatch.chdir(folder)
    assert run(folder, *words) == 1
    assert message in capsys.readouterr().err


def test_scenes_of_a_folder_are_mapped_and_one_that_cannot_be_stops_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "scenes").mkdir()
    for name in ("a.tif", "b.tif"):
        (folder / name).rename(folder / "scenes" / name)
    write_scene(folder / "scenes" / "nowhere.tif", WATER, crs=None)
    write_scene(folder / "scenes" / "line\nbreak.tif", WATER)
    put_model(monkeypatch, WaterIndex())
    assert run(folder, "--inputs", folder / "scenes") == 1
    np.testing.assert_array_equal(classes(folder / "out" / "a") == 1, WATER)
    np.testing.assert_array_equal(classes(folder / "out" / "b") == 1, ~WATER)
    said = capsys.readouterr().out
    assert "2 of 4 scenes done" in said and "holds a line break" in said and "nowhere.tif does not say where its pixels lie" in said


def test_stac_items_on_a_web_server_are_read_where_that_is_allowed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_model(monkeypatch, WaterIndex())
    with serving(folder) as served:
        item = item_of(folder, "S2A/one", f"{served.url}/")
        (folder / "item.json").write_text(json.dumps(item))
        words = ["--inputs", folder / "item.json", "--sensor", "optical=sentinel2_l2a"]
        assert run(folder, *words) == 1
        assert "not a plain local path. Remote files are opened" in capsys.readouterr().out and served.asked == []
        assert run(folder, *words, "--allow-remote") == 0
    np.testing.assert_array_equal(classes(folder / "out" / "S2A" / "one") == 1, WATER)
    written = json.loads((folder / "out" / "S2A" / "one" / "item.json").read_text())
    assert written["properties"]["datetime"] == "2024-05-01T10:00:00Z"


@pytest.mark.parametrize("form", ["collection", "geoparquet", "table"])
def test_lists_of_scenes(folder: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    geopandas = pytest.importorskip("geopandas", reason="geopandas (extra scenes) is not installed")
    from shapely.geometry import box

    put_model(monkeypatch, WaterIndex())
    items = [item_of(folder, name, "") for name in ("one", "two")]
    path = folder / ("list.json" if form == "collection" else "list.parquet")
    words = ["--sensor", "optical=sentinel2_l2a"]
    if form == "collection":
        path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    elif form == "geoparquet":  # STAC items as a table: what is under `properties` are columns
        rows = [{"id": item["id"], "assets": item["assets"], "datetime": item["properties"]["datetime"]} for item in items]
        geopandas.GeoDataFrame(rows, geometry=[box(0, 0, 1, 1)] * 2, crs="EPSG:4326").to_parquet(path)
    else:
        rows = [{"id": name, "optical": file} for name, file in (("one", "a.tif"), ("two", "a.tif"))]
        geopandas.GeoDataFrame(rows, geometry=[box(0, 0, 1, 1)] * 2, crs="EPSG:4326").to_parquet(path)
    assert run(folder, "--inputs", path, *words) == 0
    for name in ("one", "two"):
        np.testing.assert_array_equal(classes(folder / "out" / name) == 1, WATER)


def test_clouds_of_stac_items_are_found_by_themselves(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_model(monkeypatch, WaterIndex())
    cloud = np.zeros_like(WATER)
    cloud[:40] = True
    with rasterio.open(folder / "a.tif") as source:
        profile = {**source.profile, "count": 1, "dtype": "uint8"}
    with rasterio.open(folder / "SCL.tif", "w", **profile) as target:
        target.write(np.where(cloud, 9, 4).astype(np.uint8), 1)
    with serving(folder) as served:
        items = [item_of(folder, name, f"{served.url}/") for name in ("with", "without", "several")]
        for item, keys in zip(items, (["scl"], [], ["scl", "SCL"]), strict=True):
            item["assets"] |= {key: {"href": f"{served.url}/SCL.tif?key={key}", "type": "image/tiff"} for key in keys}
        (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
        words = ["--inputs", folder / "items.json", "--sensor", "optical=sentinel2_l2a", "--allow-remote", "--clouds"]
        assert run(folder, *words) == 1
    np.testing.assert_array_equal(classes(folder / "out" / "with"), np.where(cloud, 255, np.where(WATER, 1, 2)))
    said = capsys.readouterr().out
    assert "1 of 3 scenes done" in said and "has a layer of clouds that is known" in said
    assert f"has 2 layers of clouds ({served.url}/SCL.tif, {served.url}/SCL.tif)" in said


@pytest.mark.parametrize("form", ["folders", "table", "one each"])
def test_pairs_of_a_list_make_maps_of_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    put_model(monkeypatch, ChangeIndex())
    for date, changed in (("old", np.zeros_like(WATER)), ("new", WATER)):
        (folder / date).mkdir()
        write_scene(folder / date / "one.tif", changed)
    if form == "table":
        (folder / "pairs.csv").write_text("id,image,before\none,new/one.tif,old/one.tif\nlost,new/one.tif,old/lost.tif\n")
        words = ["--inputs", folder / "pairs.csv"]
    elif form == "folders":
        for date in ("old", "new"):
            write_scene(folder / date / "two.tif", WATER)
        words = ["--inputs", folder / "new", "--before", folder / "old"]
    else:
        (folder / "old" / "one.tif").rename(folder / "old" / "other.tif")
        words = ["--inputs", folder / "new", "--before", folder / "old"]
    assert run(folder, *words) == (form == "table")
    np.testing.assert_array_equal(classes(folder / "out" / "one") == 1, WATER)
    if form == "folders":
        assert not (classes(folder / "out" / "two") == 1).any()
    assert ("1 of 2 scenes done" in capsys.readouterr().out) is (form == "table")


def test_scenes_of_a_list_are_asked_about(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    geopandas = pytest.importorskip("geopandas", reason="geopandas (extra scenes) is not installed")
    model = put_model(monkeypatch, SaysWhatCovers())
    (folder / "list.csv").write_text("id,image,text\none,a.tif,\ntwo,b.tif,Is it dry?\nlost,c.tif,\n")
    own = ["--out", folder / "out", "--side", SIDE, "--device", "cpu", "--sensor", "optical=sentinel2_l2a"]
    words = [folder / "model", "--ask", "What covers it?", "--inputs", folder / "list.csv", *own]
    assert COMMAND([str(word) for word in words]) == 1
    assert [geopandas.read_file(folder / "out" / name / "answers.gpkg").answer.tolist() for name in ("one", "two")] == [["land"], ["water"]]
    assert [text.partition("\n")[2] for _, text in model.asked] == ["What covers it?", "Is it dry?"]
    assert "2 of 3 scenes done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no image is given to map"),
        (["--ask", "What is it?", "--optical", "a.tif"], "give --prompt with what to map, or --ask"),
        (["--inputs", "x", "--optical", "a.tif"], "--optical is of one scene"),
        (["--inputs", "https://example.org/a.tif"], "an address; lists, tables and STAC items may name some"),
        (["--inputs", "new", "--before", "old"], "2 of the later date (a; c) and 1 of the earlier date (b) have no partner"),
        (["--inputs", "pairs.csv", "--before", "old"], "and so does the table of --inputs (column before)"),
    ],
)
def test_what_does_not_go_together_is_refused(
    folder: Path, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("new/a.tif", "new/c.tif", "old/b.tif"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "pairs.csv").write_text("image,before\na.tif,b.tif\n")
    put_model(monkeypatch, WaterIndex())
    monkeypatch.chdir(folder)
    assert run(folder, *words) == 1
    assert message in capsys.readouterr().err
