import numpy as np
import pytest

from eocore.errors import ConfigError
from eocore.portable.band_rendering import SceneArray
from eocore.sensors.bands import get_sensor
from eocore.serve.views.composites import composites, draw_index, find_composite

S2 = get_sensor("sentinel2_l2a").band_names


def names(sensor: str, bands: tuple[str, ...]) -> list[str]:
    return [composite.name for composite in composites(sensor, bands)]


def test_sentinel_2_offers_every_composite_and_each_band() -> None:
    found = composites("sentinel2_l2a", S2)
    assert [each.name for each in found[:7]] == ["true_colour", "false_colour", "swir", "agriculture", "ndvi", "ndwi", "nbr"]
    assert found[0].entries == ("B04", "B03", "B02")
    assert found[1].entries == ("B08", "B04", "B03")
    assert [each.name for each in found[7:]] == [f"band:{band}" for band in S2]


def test_landsat_bands_have_other_names_and_the_same_composites() -> None:
    found = find_composite("swir", sensor="landsat8_l2", bands=get_sensor("landsat8_l2").band_names)
    assert found.entries == ("B7", "B5", "B4")


def test_radar_shows_both_polarisations_and_their_ratio() -> None:
    found = composites("sentinel1_grd", ("VV", "VH"))
    assert found[0].entries == ("VV", "VH", "ratio:VV/VH")
    assert found[0].bands == ("VV", "VH")
    assert names("sentinel1_grd", ("HH", "HV"))[0] == "hh_hv"
    assert names("sentinel1_grd", ("VV",)) == ["band:VV"]


def test_a_file_with_some_bands_offers_what_they_allow() -> None:
    assert names("sentinel2_l2a", ("B04", "B08")) == ["ndvi", "band:B04", "band:B08"]


def test_pictures_are_shown_as_they_are() -> None:
    assert names("rgb_uint8", ("red", "green", "blue")) == ["as_is", "band:red", "band:green", "band:blue"]
    assert names("grey_uint8", ("grey",)) == ["as_is"]


def test_an_unknown_composite_is_named_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"no composite 'ndvl' of this image\. Did you mean 'ndvi'\?.*true_colour"):
        find_composite("ndvl", sensor="sentinel2_l2a", bands=S2)


def test_an_index_is_green_where_leaves_are_and_black_without_data() -> None:
    ndvi = find_composite("ndvi", sensor="sentinel2_l2a", bands=S2)
    nir, red = np.array([[0.5, 0.3, np.nan]]), np.array([[0.02, 0.3, 0.1]])
    scene = SceneArray(np.stack([nir, red]).astype(np.float32), ndvi.bands, "reflectance")
    drawn = draw_index(scene, ndvi)
    assert drawn.shape == (3, 1, 3)
    leaves, bare, nothing = drawn[:, 0].T
    assert leaves[1] > leaves[0] and leaves[1] > leaves[2]  # NDVI 0.92: dark green
    assert tuple(bare) == (224, 216, 196)  # NDVI 0, a value of the ramp
    assert tuple(nothing) == (0, 0, 0)
