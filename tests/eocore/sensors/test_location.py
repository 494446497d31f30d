"""Scenes are laid over each other only where they show the same ground."""

from dataclasses import replace

import numpy as np
import pytest
from rasterio.crs import CRS

from eocore.errors import DataError
from eocore.sensors.location import check_same_location, same_crs
from eocore.sensors.scene import Georeference, Scene

CORNER = (500_000.0, 5_600_000.0)


def scene(
    name: str, size: tuple[int, int], *, corner: tuple[float, float] | None = (0.0, 0.0), gsd_m: float = 10.0, epsg: int = 32632
) -> Scene:
    place = None
    if corner is not None:
        place = Georeference(CRS.from_epsg(epsg).to_wkt(), (gsd_m, 0.0, corner[0], 0.0, -gsd_m, corner[1]))
    return Scene(np.zeros((1, *size), np.float32), ("VV",), "sentinel1_grd", "sigma0_db", gsd_m, place, f"{name}.tif")


def test_one_location_at_two_resolutions_passes() -> None:
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


@pytest.mark.parametrize("epsg", [32732, 32601, 4326, 3857])
def test_equal_numbers_of_another_coordinate_system_are_another_location(epsg: int) -> None:
    with pytest.raises(DataError, match=rf"different coordinate systems \(EPSG:32632, EPSG:{epsg}\)"):
        check_same_location([scene("a", (40, 60), corner=CORNER), scene("b", (40, 60), corner=CORNER, epsg=epsg)])


def test_one_ground_in_two_coordinate_systems_passes() -> None:
    """ETRS89 and WGS 84 differ by less than a metre in Europe, far below a pixel."""
    check_same_location([scene("a", (40, 60), corner=CORNER), scene("b", (20, 30), corner=CORNER, gsd_m=20.0, epsg=25832)])


def test_extents_that_only_touch_are_two_locations() -> None:
    with pytest.raises(DataError, match=r"do not cover the same ground: their corners lie up to 60\.0 pixels apart"):
        check_same_location([scene("a", (40, 60)), scene("b", (40, 60), corner=(600.0, 0.0))])


def test_a_scene_without_a_location_between_two_does_not_hide_that_they_differ() -> None:
    with pytest.raises(DataError, match=r"a.tif and c.tif do not cover the same ground"):
        check_same_location([scene("a", (40, 60)), scene("b", (40, 60), corner=None), scene("c", (40, 60), corner=(50.0, 0.0))])


def test_small_steps_of_a_series_do_not_add_up() -> None:
    with pytest.raises(DataError, match=r"s0.tif and s2.tif do not cover"):
        check_same_location([scene(f"s{step}", (40, 60), corner=(4.0 * step, 0.0)) for step in range(3)])


def test_a_coordinate_system_has_several_spellings() -> None:
    utm = CRS.from_epsg(32632)
    assert same_crs(utm.to_wkt(), CRS.from_proj4("+proj=utm +zone=32 +datum=WGS84 +units=m").to_wkt())
    assert not same_crs(utm.to_wkt(), "")
    assert not same_crs(utm.to_wkt(), CRS.from_epsg(32633).to_wkt())


def test_scenes_without_a_coordinate_system_are_compared_by_their_numbers() -> None:
    first, far = (replace(scene("a", (40, 60), corner=corner), path=f"{corner[0]:g}.tif") for corner in ((0.0, 0.0), (900.0, 0.0)))
    first, far, near = (replace(found, georeference=replace(found.georeference, crs="")) for found in (first, far, first))  # type: ignore[type-var]
    check_same_location([first, near])
    with pytest.raises(DataError, match=r"0\.tif and 900\.tif do not cover the same ground: their corners lie up to 90\.0 pixels apart"):
        check_same_location([first, far])
    check_same_location([far, scene("b", (40, 60))])


def test_scenes_without_a_location_are_compared_by_shape() -> None:
    check_same_location([scene("a", (40, 60)), scene("b", (101, 150), corner=None)])
    with pytest.raises(DataError, match=r"\(40, 60\) and \(60, 40\) px \(height, width\): shapes that cannot show the same location"):
        check_same_location([scene("a", (40, 60)), scene("b", (60, 40), corner=None)])


@pytest.mark.parametrize("turned", [(10.0, 0.0, 0.0, 0.0, 10.0, -400.0), (-10.0, 0.0, 600.0, 0.0, -10.0, 0.0)])
def test_one_ground_in_unlike_orientation_is_said_so(turned: tuple[float, float, float, float, float, float]) -> None:
    first = scene("a", (40, 60))
    assert first.georeference is not None
    other = replace(first, georeference=replace(first.georeference, transform=turned), path="b.tif")
    with pytest.raises(DataError, match=r"a.tif and b.tif cover the same ground in unlike orientation"):
        check_same_location([first, other])
