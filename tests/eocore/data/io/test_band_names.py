"""What names a layer: the given names, what layers and files are called, the sensor's order; contradictions are refused."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from eocore.data.io.readers import scene_header
from eocore.data.records import ImageRef
from eocore.errors import BandError
from eocore.sensors.bands import get_sensor

L2A = get_sensor("sentinel2_l2a").band_names


def write(path: Path, names: tuple[str | None, ...], dtype: str = "float32") -> str:
    """A GeoTIFF of 4 x 4 px with a layer for each name; None = not described."""
    with rasterio.open(path, "w", driver="GTiff", count=len(names), height=4, width=4, dtype=dtype, crs="EPSG:32632") as file:
        file.write(np.full((len(names), 4, 4), 100, dtype))
        file.descriptions = names
    return str(path)


def bands_of(*paths: str, sensor: str = "sentinel1_grd", bands: tuple[str, ...] = ()) -> tuple[str, ...]:
    return scene_header(ImageRef("image", sensor, paths, bands=bands)).bands


def test_layers_are_called_what_they_say(tmp_path: Path) -> None:
    assert bands_of(write(tmp_path / "snap.tif", ("Sigma0_VH_db", "Sigma0_VV_db"))) == ("VH", "VV")
    assert bands_of(write(tmp_path / "ice.tif", ("HH", "HV"))) == ("HH", "HV")


def test_horizontal_polarisations_are_never_taken_for_vertical_ones(tmp_path: Path) -> None:
    files = [write(tmp_path / f"S1B_IW_RTC_{name}.tif", (None,)) for name in ("HH", "HV")]
    assert bands_of(*files) == ("HH", "HV")
    with pytest.raises(BandError, match=r"`bands` calls the layers VV, VH, but the files call them HH, HV; one band would be taken"):
        bands_of(*files, bands=("VV", "VH"))
    with pytest.raises(
        BandError, match=r"2 unnamed layers in a file or folder named after HH, HV; without names .* taken for VV, VH.*--bands"
    ):
        bands_of(write(tmp_path / "S1A_EW_GRDM_1SDH_2021.tif", (None, None)))
    assert bands_of(write(tmp_path / "S1A_IW_GRDH_1SDV_2021.tif", (None, None))) == ("VV", "VH")


@pytest.mark.parametrize("folder", ["S1A_EW_GRDM_1SDH_2021", "HH_HV", "VH_VV"])
def test_a_folder_of_other_polarisations_is_obeyed_too(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    with pytest.raises(BandError, match=r"2 unnamed layers in a file or folder named after .*taken for VV, VH"):
        bands_of(write(tmp_path / folder / "0001.tif", (None, None)))
    assert bands_of(write(tmp_path / folder / "0001_VV_VH.tif", (None, None))) == ("VV", "VH")


def test_a_layer_that_is_left_out_keeps_its_name_from_others(tmp_path: Path) -> None:
    path = write(tmp_path / "snap.tif", ("VV", "localIncidenceAngle", "VH"))
    with pytest.raises(BandError, match=r"`bands` leaves out the layer that the files call VH, and calls another one VH; one band would"):
        bands_of(path, bands=("VV", "VH", "-"))
    assert bands_of(path, bands=("VV", "-", "VH")) == ("VV", "VH")
    assert bands_of(path, bands=("-", "-", "VH")) == ("VH",)
    files = [write(tmp_path / f"T32_{name}.tif", (None,), "uint16") for name in ("B8A", "SCL", "B02")]
    with pytest.raises(BandError, match=r"the files call B02, and calls another one B02"):
        bands_of(*files, sensor="sentinel2_l2a", bands=("B8A", "B2", "-"))
    assert bands_of(*files, sensor="sentinel2_l2a", bands=("B8A", "-", "B2")) == ("B8A", "B02")


def test_the_order_of_files_names_nothing(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.tif", (None,)), write(tmp_path / "b.tif", (None,))
    with pytest.raises(BandError, match=r"2 files \(a\.tif, b\.tif\), of which nothing says which band of sentinel1_grd each is"):
        bands_of(first, second)
    assert bands_of(first, second, bands=("VH", "VV")) == ("VH", "VV")


def test_twelve_files_in_the_order_of_the_shell(tmp_path: Path) -> None:
    names = sorted(L2A)
    files = [write(tmp_path / f"T32UQD_{name}_10m_clip_utm.tif", (None,), "uint16") for name in names]
    assert bands_of(*files, sensor="sentinel2_l2a") == tuple(names)
    with pytest.raises(BandError, match=r"`bands` calls the layers B01.*but the files call them B01.*Give `bands` in the order"):
        bands_of(*files, sensor="sentinel2_l2a", bands=L2A)


def test_distinct_descriptions_of_other_things_are_not_the_sensors_order(tmp_path: Path) -> None:
    for stem, names in (("months", tuple(f"NDVI_{month:02d}" for month in range(1, 13))), ("mixed", (*(f"x{i}" for i in range(11)), None))):
        path = write(tmp_path / f"{stem}.tif", names, "uint16")
        with pytest.raises(BandError, match=r"the layers are called .*, \.\.\., which are no bands of sentinel2_l2a.*--bands"):
            bands_of(path, sensor="sentinel2_l2a")
        assert bands_of(path, sensor="sentinel2_l2a", bands=L2A) == L2A


def test_numbered_layers_are_unnamed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", tuple(f"Band {number}" for number in range(1, 13)), "uint16")
    assert bands_of(path, sensor="sentinel2_l2a") == L2A
    assert bands_of(write(tmp_path / "b.tif", ("b1", "b2", "b3"), "uint8"), sensor="rgb_uint8") == ("red", "green", "blue")
    assert bands_of(write(tmp_path / "c.tif", ("b2", "b3", "b4"), "uint16"), sensor="sentinel2_l2a") == ("B02", "B03", "B04")


def test_layer_and_file_name_must_agree(tmp_path: Path) -> None:
    files = [write(tmp_path / "x_VV.tif", ("VH",)), write(tmp_path / "x_VH.tif", ("VV",))]
    with pytest.raises(BandError, match=r"a layer is described as VH, but its file is named after VV; one of them is wrong"):
        bands_of(*files)
    assert bands_of(write(tmp_path / "y_VV.tif", ("Sigma0_VV",)), write(tmp_path / "y_VH.tif", (None,))) == ("VV", "VH")


def test_one_file_of_one_band_is_called_after_its_name(tmp_path: Path) -> None:
    assert bands_of(write(tmp_path / "scene_vh_db.tif", (None,))) == ("VH",)
    assert bands_of(write(tmp_path / "T32_B8A_20m.tif", (None,), "uint16"), sensor="sentinel2_l2a") == ("B8A",)
    assert bands_of(write(tmp_path / "patch_B3.tif", (None,), "uint8"), sensor="grey_uint8") == ("grey",)
