"""What of a scene is mapped: images of two zones on one grid, an area of it, clouds left out."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from scene_files import WaterIndex, grid_around, map_request, round_lake, write_scene

from eocore.data.records import ImageRef
from eocore.errors import AlignmentError
from eocore.scenes.cutting import scene_source
from eocore.scenes.decisions import NODATA
from eocore.scenes.maps import MapRequest, make_maps

CENTRE, RADIUS_DEG, SIDE = (12.0, 47.0), 0.003, 150
ZONES = {"multispectral": "EPSG:32633", "before": "EPSG:32632"}


def of_two_zones(folder: Path) -> tuple[MapRequest, dict[str, ImageRef]]:
    refs = {}
    for role, crs in ZONES.items():
        grid = grid_around(CENTRE, crs=crs, side=SIDE, pixel=10.0)
        water = round_lake(grid, (SIDE, SIDE), crs=crs, centre=CENTRE, radius_deg=RADIUS_DEG)
        refs[role] = ImageRef(role, "sentinel2_l2a", (str(write_scene(folder / f"{role}.tif", water, transform=grid, crs=crs)),))
    return map_request(folder, Path(refs["multispectral"].paths[0])), refs


def mapped(request: MapRequest, refs: dict[str, ImageRef], **choices: object) -> tuple[np.ndarray, Affine]:
    source = scene_source(refs, **choices)  # type: ignore[arg-type]
    make_maps(replace(request, windows=replace(request.windows, source=source), formats=(), overwrite=True))
    with rasterio.open(request.out / "classes.tif") as found:
        return found.read(1), found.transform


@pytest.mark.parametrize("grid", ["before", "EPSG:32632,10", "EPSG:4326,0.0001"])
def test_images_of_two_zones_make_one_map(tmp_path: Path, model: Callable[..., WaterIndex], grid: str) -> None:
    model()
    request, refs = of_two_zones(tmp_path)
    with pytest.raises(AlignmentError, match="Choose the grid on which they are put: --grid multispectral"):
        scene_source(refs).place()
    found, transform = mapped(request, refs, grid=grid)
    crs = "EPSG:4326" if "4326" in grid else "EPSG:32632"
    expected = round_lake(transform, found.shape, crs=crs, centre=CENTRE, radius_deg=RADIUS_DEG)
    seen = found != NODATA
    assert seen.mean() > 0.9 and expected[seen].sum() > 2000
    assert (found == 1)[seen].sum() == pytest.approx(expected[seen].sum(), rel=0.03)  # mixed pixels of the shore count as land
    assert ((found == 1) != expected)[seen].sum() < 0.03 * expected.sum()


def test_an_area_of_a_chosen_grid(tmp_path: Path, model: Callable[..., WaterIndex]) -> None:
    model()
    request, refs = of_two_zones(tmp_path)
    ring = [[11.995, 46.997], [12.005, 46.997], [12.005, 47.003], [11.995, 47.003], [11.995, 46.997]]
    (tmp_path / "area.json").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    found, transform = mapped(request, refs, grid="before", area=tmp_path / "area.json")
    whole, whole_transform = mapped(request, refs, grid="before")
    col, row = (round(value) for value in ~whole_transform @ (transform.c, transform.f))
    part = whole[row : row + found.shape[0], col : col + found.shape[1]]
    inside = found != NODATA
    assert 0.8 < inside.mean() < 1 and found.shape[0] < 80
    assert (found != part)[inside].mean() < 0.01


def test_clouds_are_not_mapped_and_windows_of_clouds_alone_not_scored(tmp_path: Path, model: Callable[..., WaterIndex]) -> None:
    seen = model().seen
    water = np.zeros((SIDE, SIDE), bool)
    water[:, 90:] = True
    scene = write_scene(tmp_path / "s2.tif", water)
    classes = np.full((SIDE, SIDE), 4, np.uint8)
    classes[:70, :70] = 9
    with rasterio.open(scene) as source:
        profile = {**source.profile, "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / "scl.tif", "w", **profile) as target:
        target.write(classes[None])
    refs = {"multispectral": ImageRef("multispectral", "sentinel2_l2a", (str(scene),))}
    found, _ = mapped(map_request(tmp_path, scene), refs, clouds=f"scl={tmp_path / 'scl.tif'}")
    np.testing.assert_array_equal(found, np.where(classes == 9, NODATA, np.where(water, 1, 2)))
    assert "0_0" not in seen and "0_29" in seen
