"""Scenes are laid over each other only where they show the same ground."""

import numpy as np
import pytest
from rasterio.crs import CRS

from eocore.errors import DataError
from eocore.sensors.location import check_same_crs, check_same_location
from eocore.sensors.scene import Georeference, Scene


def scene(
    name: str, size: tuple[int, int], *, corner: tuple[float, float] | None = (0.0, 0.0), gsd_m: float = 10.0, epsg: int = 32632
) -> Scene:
    place = None
    if corner is not None:
        place = Georeference(CRS.from_epsg(epsg).to_wkt(), (gsd_m, 0.0, corner[0], 0.0, -gsd_m, corner[1]))
    return Scene(np.zeros((1, *size), np.float32), ("VV",), "sentinel1_grd", "sigma0_db", gsd_m, place, f"{name}.tif")


def test_one_place_at_two_resolutions_passes() -> None:
    check_same_location([scene("a", (40, 60)), scene("b", (160, 240), gsd_m=2.5), scene("c", (20, 30), gsd_m=20.0)])


def test_grids_laid_on_pixel_centres_pass() -> None:
    check_same_location([scene("a", (40, 60)), scene("b", (40, 60), corner=(4.9, -4.9))])


def test_shifted_extents_are_refused() -> None:
    with pytest.raises(DataError, match=r"a.tif and b.tif do not cover the same ground: their corners lie up to 0\.6 pixels apart"):
        check_same_location([scene("a", (40, 60)), scene("b", (40, 60), corner=(6.0, 0.0))])


def test_a_third_scene_is_compared_too() -> None:
    with pytest.raises(DataError, match=r"b.tif and c.tif do not cover"):
        check_same_location([scene("a", (40, 60)), scene("b", (40, 60)), scene("c", (40, 61))])


def test_other_coordinate_systems_are_refused() -> None:
    with pytest.raises(DataError, match=r"different coordinate systems \(EPSG:32632, EPSG:32633\).*Warp one"):
        check_same_location([scene("a", (40, 60)), scene("b", (40, 60), epsg=32633)])


def test_the_coordinate_systems_alone_can_be_compared() -> None:
    check_same_crs([scene("a", (40, 60)), scene("b", (60, 40), corner=None), scene("c", (9, 9))])
    with pytest.raises(DataError, match=r"a.tif and c.tif are in different coordinate systems"):
        check_same_crs([scene("a", (40, 60)), scene("b", (60, 40), corner=None), scene("c", (9, 9), epsg=4326)])


def test_scenes_without_a_place_are_compared_by_shape() -> None:
    check_same_location([scene("a", (40, 60)), scene("b", (101, 150), corner=None)])
    with pytest.raises(DataError, match=r"\(40, 60\) and \(60, 40\) px \(height, width\): shapes that cannot show the same location"):
        check_same_location([scene("a", (40, 60)), scene("b", (60, 40), corner=None)])
