"""The grid of a map of several images: that of one of them, or one of its own."""

import pytest
import rasterio
from affine import Affine

from eocore.errors import ConfigError, DataError
from eocore.scenes.grids import choose_grid
from eocore.scenes.place import Place
from eocore.sensors.scene import Georeference


def place(crs: str, transform: Affine, side: int = 100) -> Place:
    return Place(side, side, Georeference(rasterio.crs.CRS.from_user_input(crs).to_wkt(), (*transform[:6],)))


OPTICAL = place("EPSG:32632", Affine(10, 0, 500_003, 0, -10, 5_000_007))
SAR = place("EPSG:32632", Affine(20, 0, 500_200, 0, -20, 5_000_000))
PLACES = {"multispectral": OPTICAL, "sar": SAR}


def test_a_role_gives_the_pixels_of_its_image() -> None:
    assert choose_grid("sar", PLACES) == SAR


def test_a_grid_of_its_own_lies_at_multiples_of_its_pixels_over_what_all_show() -> None:
    found = choose_grid("EPSG:32632,25", PLACES)
    assert found.georeference.transform == (25, 0, 500_200, 0, -25, 5_000_000)
    assert (found.height, found.width) == (39, 32)  # down to 4_999_007 and up to 501_003, where the optical image ends


def test_over_the_antimeridian_longitudes_go_on() -> None:
    (x,), (y,) = rasterio.warp.transform("EPSG:4326", "EPSG:32760", [180.0], [-16.5])
    zone_60 = place("EPSG:32760", Affine(100, 0, x - 5000, 0, -100, y + 5000))
    degrees = place("EPSG:4326", Affine(0.001, 0, -180.03, 0, -0.001, -16.46))
    found = choose_grid("EPSG:4326,0.001", {"multispectral": zone_60, "sar": degrees})
    left, width = found.georeference.transform[2], found.width
    assert left == pytest.approx(179.97) and left + width * 0.001 == pytest.approx(180.046, abs=0.003)


@pytest.mark.parametrize("choice", ["rgb", "EPSG:32632", "EPSG:32632,", "EPSG:32632,0", "EPSG:0,10", "EPSG:32632,nan"])
def test_what_is_no_grid_is_refused(choice: str) -> None:
    with pytest.raises(ConfigError, match=r"--grid .* Expected the role of an image \(multispectral, sar\), or CRS,SIZE such as"):
        choose_grid(choice, PLACES)


def test_images_without_common_ground_are_refused() -> None:
    with pytest.raises(DataError, match=r"no ground in common \(multispectral: .*; sar: "):
        choose_grid("EPSG:32632,10", {"multispectral": OPTICAL, "sar": place("EPSG:32632", Affine(10, 0, 600_000, 0, -10, 5_000_000))})


def test_more_pixels_than_any_map_has_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"--grid EPSG:32632,1e-7: a map of .* pixels of 1e-07; at most 1e\+11 .*, metre: give a larger one"
    ):
        choose_grid("EPSG:32632,1e-7", {"multispectral": OPTICAL})


def test_a_role_that_is_misspelt_is_hinted_at() -> None:
    with pytest.raises(ConfigError, match=r"--grid multispectal: neither the role .*Did you mean 'multispectral'\?"):
        choose_grid("multispectal", PLACES)


@pytest.mark.parametrize(("choice", "units"), [("EPSG:4326,10", "degrees"), ("EPSG:32632,1e9", "metre")])
def test_pixels_larger_than_the_images_are_not_called_another_place(choice: str, units: str) -> None:
    with pytest.raises(DataError, match=rf"--grid {choice}: not one pixel of .* in units of the CRS, {units}: give a smaller one"):
        choose_grid(choice, {"multispectral": OPTICAL})
