"""Sensors and bands are found by name, and say what they are."""

import pytest

from eocore.errors import BandError, ConfigError
from eocore.sensors.bands import Band, Sensor, get_sensor, register_sensor, sensor_names

L1C = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")


def test_every_sensor_is_complete() -> None:
    for name in sensor_names():
        sensor = get_sensor(name)
        assert register_sensor(sensor) is sensor  # passes the check of unique band names
        assert sensor.name == name


def test_sentinel2_levels_differ_in_the_cirrus_band_alone() -> None:
    assert get_sensor("sentinel2_l1c").band_names == L1C
    assert get_sensor("sentinel2_l2a").band_names == tuple(band for band in L1C if band != "B10")


@pytest.mark.parametrize("level", ["l1c", "l2a"])
def test_the_offset_of_newer_sentinel2_products_is_a_choice(level: str) -> None:
    assert get_sensor(f"sentinel2_{level}").offset_dn == 0
    assert get_sensor(f"sentinel2_{level}_pb0400").offset_dn == -1000
    assert get_sensor(f"sentinel2_{level}_pb0400").nodata == 0


def test_c_band_wavelength() -> None:
    assert get_sensor("sentinel1_rtc").band("VH").centre_nm == pytest.approx(5.5466e7, rel=1e-4)  # 5.5 cm at 5.405 GHz


@pytest.mark.parametrize("name", ["landsat8_l1", "landsat8_l2", "landsat9_l1", "landsat9_l2", "sentinel2_l1c", "sentinel2_l2a"])
def test_bands_of_a_colour_lie_in_that_colour(name: str) -> None:
    limits = {"coastal": (430, 455), "blue": (450, 520), "green": (520, 600), "red": (630, 690), "swir16": (1550, 1700)}
    for colour, (low, high) in limits.items():
        assert low < get_sensor(name).band(colour).centre_nm < high


@pytest.mark.parametrize(
    ("text", "band"),
    [("B1", "B01"), ("b01", "B01"), ("B8A", "B8A"), ("b8a", "B8A"), ("B8", "B08"), ("Red", "B04"), ("B13", None), ("", None)],
)
def test_bands_answer_to_common_spellings(text: str, band: str | None) -> None:
    assert get_sensor("sentinel2_l2a").canonical_name(text) == band


def test_ten_is_not_one() -> None:
    assert get_sensor("sentinel2_l1c").canonical_name("B10") == "B10"
    assert get_sensor("landsat8_l2").canonical_name("SR_B4") == "B4"


def test_unknown_sensor_lists_the_choices_and_the_nearest() -> None:
    with pytest.raises(BandError, match=r"unknown sensor 'sentinel2_l2b'\. Did you mean 'sentinel2_l2a'\? Choices: .*sentinel1_grd"):
        get_sensor("sentinel2_l2b")


def test_unknown_band_lists_the_bands() -> None:
    with pytest.raises(BandError, match=r"sentinel2_l2a has no band 'B10'\. Did you mean 'B1[12]'\? Bands: B01, B02"):
        get_sensor("sentinel2_l2a").band("B10")


def test_a_registered_sensor_is_found_and_not_replaced() -> None:
    own = Sensor("test_camera", (Band("nir", 850.0, 0.2),), "reflectance", "dn", scale=1e-4)
    register_sensor(own)
    assert get_sensor("test_camera") is own
    with pytest.raises(ConfigError, match="'test_camera' is registered already with other bands or scaling"):
        register_sensor(Sensor("test_camera", (Band("nir", 850.0, 0.2),), "reflectance", "dn", scale=1e-3))


def test_two_bands_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="each band needs a name of its own, found b1"):
        register_sensor(Sensor("test_twice", (Band("B1", 1.0, 1.0), Band("B01", 2.0, 1.0)), "reflectance", "dn"))
    with pytest.raises(ConfigError, match="found no band"):
        register_sensor(Sensor("test_empty", (), "reflectance", "dn"))
