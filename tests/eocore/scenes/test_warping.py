"""Images laid on the grid of another: over the border of two UTM zones, over the antimeridian, part by part as a whole."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import Resampling
from scene_files import NIR, grid_around, round_lake, write_scene

from eocore.data.records import ImageRef
from eocore.errors import DataError
from eocore.scenes.place import Place
from eocore.scenes.source import SceneSource
from eocore.scenes.warping import find_window, read_warped, warp
from eocore.sensors.scene import Georeference

BORDER, ANTIMERIDIAN = (12.0, 47.0), (180.0, -16.5)
SIDE, RADIUS_DEG = 120, 0.003


def place(transform: Affine, crs: str, side: int = SIDE) -> Place:
    return Place(side, side, Georeference(rasterio.crs.CRS.from_user_input(crs).to_wkt(), (*transform[:6],)))


def image(folder: Path, centre: tuple[float, float], *, crs: str, pixel: float, side: int = 200) -> ImageRef:
    grid = grid_around(centre, crs=crs, side=side, pixel=pixel)
    water = round_lake(grid, (side, side), crs=crs, centre=centre, radius_deg=RADIUS_DEG)
    path = write_scene(folder / f"{crs.rpartition(':')[2]}.tif", water, transform=grid, crs=crs)
    return ImageRef("multispectral", "sentinel2_l2a", (str(path),))


@pytest.mark.parametrize(
    ("centre", "source", "target"),
    [
        (BORDER, ("EPSG:32633", 10.0), ("EPSG:32632", 10.0)),
        (BORDER, ("EPSG:4326", 0.0001), ("EPSG:32633", 10.0)),
        (ANTIMERIDIAN, ("EPSG:32760", 10.0), ("EPSG:32701", 10.0)),
        (ANTIMERIDIAN, ("EPSG:4326", 0.0001), ("EPSG:32701", 10.0)),
        (ANTIMERIDIAN, ("EPSG:32701", 10.0), ("EPSG:4326", 0.0001)),
        (ANTIMERIDIAN, ("EPSG:32760", 10.0), ("EPSG:4326", 0.0001)),
    ],
)
def test_a_lake_lies_where_it_is(tmp_path: Path, centre: tuple[float, float], source: tuple[str, float], target: tuple[str, float]) -> None:
    ref = image(tmp_path, centre, crs=source[0], pixel=source[1])
    grid = grid_around(centre, crs=target[0], side=SIDE, pixel=target[1])
    scene = read_warped(ref, SceneSource({"multispectral": ref}).place(), target=place(grid, target[0]))
    assert scene is not None and np.isfinite(scene.pixels).all() and scene.size == (SIDE, SIDE)
    assert scene.gsd_m == pytest.approx(10, rel=0.15)
    found = scene.pixels[scene.bands.index(NIR)] < 0.165
    expected = round_lake(grid, (SIDE, SIDE), crs=target[0], centre=centre, radius_deg=RADIUS_DEG)
    assert expected.sum() > 2000 and (found != expected).sum() < 0.02 * expected.sum()  # pixels of the shore alone


def test_a_part_is_that_part_of_the_whole(tmp_path: Path) -> None:
    ref = image(tmp_path, BORDER, crs="EPSG:32633", pixel=10.0)
    own = SceneSource({"multispectral": ref}).place()
    whole_place = place(grid_around(BORDER, crs="EPSG:32632", side=SIDE, pixel=10.0), "EPSG:32632")
    whole, part = read_warped(ref, own, target=whole_place), read_warped(ref, own, target=whole_place.part((31, 17, 50, 60)))
    assert whole is not None and part is not None
    np.testing.assert_allclose(part.pixels, whole.pixels[:, 31:81, 17:77], atol=0.005)  # the shore is a step of 0.27


def test_what_lies_outside_is_none_and_what_lacks_data_stays_so(tmp_path: Path) -> None:
    ref = image(tmp_path, BORDER, crs="EPSG:32633", pixel=10.0)
    own = SceneSource({"multispectral": ref}).place()
    far = place(grid_around((13.0, 47.0), crs="EPSG:32632", side=SIDE, pixel=10.0), "EPSG:32632")
    assert find_window(own, target=far, source="a.tif") is None and read_warped(ref, own, target=far) is None
    edge = grid_around(BORDER, crs="EPSG:32632", side=SIDE, pixel=10.0) @ Affine.translation(100, 0)
    scene = read_warped(ref, own, target=place(edge, "EPSG:32632"))
    assert scene is not None and np.isfinite(scene.pixels[:, :, :20]).all() and np.isnan(scene.pixels[:, :, -50:]).all()


def test_the_grid_of_an_image_takes_its_pixels_as_they_are(tmp_path: Path) -> None:
    ref = image(tmp_path, BORDER, crs="EPSG:32633", pixel=10.0)
    own = SceneSource({"multispectral": ref}).place()
    direct = SceneSource({"multispectral": ref}).read((20, 30, 64, 64))
    laid = read_warped(ref, own, target=own.part((20, 30, 64, 64)))
    assert direct is not None and laid is not None
    np.testing.assert_array_equal(laid.pixels, direct[1][0].pixels)


def test_a_crs_that_cannot_be_reached_is_told() -> None:
    moon = 'GEOGCS["Moon",DATUM["Moon",SPHEROID["Moon",1737400,0]],PRIMEM["Reference",0],UNIT["degree",0.0174532925199433]]'
    target = Place(10, 10, Georeference(moon, (0.001, 0, 12, 0, -0.001, 47)))
    own = place(grid_around(BORDER, crs="EPSG:32633", side=SIDE, pixel=10.0), "EPSG:32633")
    with pytest.raises(DataError, match=r"a\.tif: its CRS cannot be reached from that of the map \(.*Choose another grid"):
        find_window(own, target=target, source="a.tif")
    with pytest.raises(DataError, match=r"a\.tif: cannot be laid on the grid of the map"):
        warp(np.zeros((1, SIDE, SIDE), np.float32), own, target=target, resampling=Resampling.nearest, source="a.tif")
