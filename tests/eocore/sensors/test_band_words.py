"""What descriptions of layers and names of files say about bands, wherever it stands in them."""

import pytest

from eocore.sensors.band_words import are_meaningless, bands_said, polarisations_said
from eocore.sensors.bands import get_sensor


@pytest.mark.parametrize(
    ("texts", "sensor", "bands"),
    [
        (["Sigma0_VH_db", "Sigma0_VV_db"], "sentinel1_grd", ["VH", "VV"]),
        (["Gamma0VV", "Gamma0VH"], "sentinel1_rtc_linear", ["VV", "VH"]),
        (["vh_dB", "VVdB"], "sentinel1_grd", ["VH", "VV"]),
        (["Intensity_HV_mst_05Jan2021", "Intensity_HH_mst_05Jan2021"], "sentinel1_grd", ["HV", "HH"]),
        (["B4 (Red)", "Blue - B02", "Vegetation Red Edge B05"], "sentinel2_l2a", ["B04", "B02", "B05"]),
        (["red", "surface reflectance nir", "B_8A", "Red Edge 2"], "sentinel2_l2a", ["B04", "B08", "B8A", "B06"]),
        (["SR_B4", "sr_b05", "S2 SR_B7"], "landsat9_l2", ["B4", "B5", "B7"]),
        (["vis-red", "vis-green", "vis-blue"], "rgb_uint8", ["red", "green", "blue"]),
        (["B4", "B3", "B2"], "rgb_uint8", ["red", "green", "blue"]),
        (["G", "R", "B"], "rgb_uint8", ["green", "red", "blue"]),
        (
            ["Aerosols", "Red Edge 4", "Water vapor", "SWIR 1", "swir2"],
            "sentinel2_l2a",
            ["B01", "B8A", "B09", "B11", "B12"],
        ),  # Earth Engine
        (["Blue", "Green", "Red", "NIR", "SWIR1", "SWIR2"], "landsat8_l2", ["B2", "B3", "B4", "B5", "B6", "B7"]),
        (["RED (665 nm)", "NIR narrow", "near infrared", "re1"], "sentinel2_l1c", ["B04", "B8A", "B08", "B05"]),
        (["Ultra Blue", "near infra red"], "landsat9_l2", ["B1", "B5"]),
        (["2019 lake red", "2019 lake green"], "sentinel2_l1c", ["B04", "B03"]),
    ],
)
def test_layers(texts: list[str], sensor: str, bands: list[str]) -> None:
    assert bands_said(texts, get_sensor(sensor), are_layers=True) == bands


@pytest.mark.parametrize(
    ("text", "sensor"),
    [
        ("NDVI_01", "sentinel2_l2a"),
        ("VV_VH_ratio", "sentinel1_grd"),
        ("VV_std", "sentinel1_grd"),
        ("coh VV", "sentinel1_grd"),
        ("red edge", "sentinel2_l2a"),
        ("far infra red", "landsat8_l2"),
        ("SWIR", "sentinel2_l2a"),
        ("SWIR 3", "landsat8_l2"),
        ("Amplitude_VV", "sentinel1_grd_linear"),
        ("red mask", "sentinel2_l2a"),
        ("redness", "sentinel2_l2a"),
        ("SR_B5", "sentinel2_l2a"),  # of Landsat, near infrared; B05 is Sentinel-2's first red edge
        ("B10", "sentinel2_l2a"),
        ("overview", "sentinel1_grd"),
        ("HHV", "sentinel1_grd"),
        (None, "sentinel1_grd"),
    ],
)
def test_what_says_no_band_or_another_thing(text: str | None, sensor: str) -> None:
    assert bands_said([text], get_sensor(sensor), are_layers=True) == [None]


@pytest.mark.parametrize("texts", [["coh VV", "coh VH"], ["Amplitude_VV", "Amplitude_VH"], ["std_VH", "std_VV"]])
def test_words_of_other_things_count_where_all_layers_share_them(texts: list[str]) -> None:
    assert bands_said(texts, get_sensor("sentinel1_grd_linear"), are_layers=True) == [None, None]


@pytest.mark.parametrize(
    ("stems", "sensor", "bands"),
    [
        (["s1a-iw-grd-vh-20210102t053501-035960-002", "s1a-iw-grd-vv-20210102t053501-035960-001"], "sentinel1_grd", ["VH", "VV"]),
        (["T32UQD_20210102T101409_B8A_20m", "T32UQD_20210102T101409_B02_20m"], "sentinel2_l2a", ["B8A", "B02"]),
        (["LC08_L2SP_193023_20200101_02_T1_SR_B5", "LC08_L2SP_193023_20200101_02_T1_SR_B2"], "landsat8_l2", ["B5", "B2"]),
        (["S1A_IW_1SDV_B1_VV_clip", "S1A_IW_1SDV_B1_VH_clip"], "sentinel1_rtc", ["VV", "VH"]),
        (["VV_VH_pair_VH", "VV_VH_pair_VV"], "sentinel1_rtc", ["VH", "VV"]),
        (["b1_block_B02", "b1_block_B03"], "sentinel2_l1c", ["B02", "B03"]),
        (["red_river_green", "red_river_blue"], "sentinel2_l2a", ["B03", "B02"]),
        (["scene_SWIR1", "scene_NIR"], "landsat8_l2", ["B6", "B5"]),
        (["S1_Amplitude_VV", "S1_Amplitude_VH"], "sentinel1_grd_linear", [None, None]),
        (["a", "b"], "sentinel1_grd", [None, None]),
        (["one_VV", "two_VV"], "sentinel1_grd", ["VV", "VV"]),
    ],
)
def test_file_names(stems: list[str], sensor: str, bands: list[str | None]) -> None:
    assert bands_said(stems, get_sensor(sensor), are_layers=False) == bands


@pytest.mark.parametrize(
    ("texts", "meaningless"),
    [
        ([None, None], True),
        (["bands", "bands", "bands"], True),
        (["Band 1", "Band 2"], True),
        (["lyr.0", "lyr.1"], True),
        (["1", "2", "3"], True),
        (["stack_1", "stack_2"], True),
        (["Band 2", "Band 1"], False),
        (["NDVI_01", "NDVI_02"], False),
        (["elevation", None], False),
    ],
)
def test_descriptions_that_only_number_or_repeat(texts: list[str | None], meaningless: bool) -> None:
    assert are_meaningless(texts, stem="stack") is meaningless


@pytest.mark.parametrize(
    ("stem", "polarisations"),
    [
        ("S1B_EW_GRDM_1SDH_20210102T0535", ["HH", "HV"]),
        ("S1A_IW_GRDH_1SDV_20170613T165043_33UUP", ["VV", "VH"]),
        ("scene_VH_VV", ["VH", "VV"]),
        ("637U_59R_1_3", []),
    ],
)
def test_polarisations_of_a_product(stem: str, polarisations: list[str]) -> None:
    assert polarisations_said(stem) == polarisations
