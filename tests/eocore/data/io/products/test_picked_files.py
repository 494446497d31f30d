"""Files picked out of a product's folder are read as what the product is, or refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from eocore.data.io.readers import read_scene
from eocore.data.records import ImageRef
from eocore.errors import DataError
from eocore.sensors.scene import Scene
from eocore.synthetic.product_folders import MadeSentinel2, write_raster, write_sentinel2


def read(path: Path, sensor: str, *bands: str) -> Scene:
    return read_scene(ImageRef("multispectral", sensor, (str(path),), bands=bands))


def band_file(folder: Path, made: MadeSentinel2) -> Path:
    return next(write_sentinel2(folder, made).rglob("*_B02*.jp2"))


@pytest.mark.parametrize(
    ("level", "baseline", "right", "wrong"),
    [
        ("2A", "05.09", "sentinel2_l2a_pb0400", "sentinel2_l2a"),
        ("2A", "02.14", "sentinel2_l2a", "sentinel2_l2a_pb0400"),
        ("1C", "05.10", "sentinel2_l1c_pb0400", "sentinel2_l2a_pb0400"),
        ("1C", "02.09", "sentinel2_l1c", "sentinel2_l1c_pb0400"),
    ],
)
def test_the_metadata_above_a_file_decide_its_offset_and_level(tmp_path: Path, level: str, baseline: str, right: str, wrong: str) -> None:
    path = band_file(tmp_path, MadeSentinel2(level, baseline, {"B02": 0.2}, side_m=60))
    np.testing.assert_allclose(read(path, right, "B02").pixels, 0.2, atol=1e-6)
    with pytest.raises(DataError, match=rf"MTD_MSIL{level}\.xml states its level and offset, which is sensor {right}, but .* {wrong}"):
        read(path, wrong, "B02")


def test_a_file_that_lies_elsewhere_is_what_its_sensor_says(tmp_path: Path) -> None:
    path = band_file(tmp_path / "product", MadeSentinel2("2A", "05.09", {"B02": 0.2}, side_m=60))
    alone = shutil.copy(path, tmp_path / path.name)
    np.testing.assert_allclose(read(alone, "sentinel2_l2a", "B02").pixels, 0.3, atol=1e-6)


def test_offsets_that_no_sensor_has_ask_for_the_folder(tmp_path: Path) -> None:
    path = band_file(tmp_path, MadeSentinel2("2A", "05.09", {"B02": 0.2}, side_m=60))
    metadata = next(tmp_path.rglob("MTD_MSIL2A.xml"))
    metadata.write_text(metadata.read_text().replace(">-1000<", ">-900<"))
    with pytest.raises(DataError, match=r"offsets \[-900\]; files alone are read with .* Give the folder of the product instead"):
        read(path, "sentinel2_l2a_pb0400", "B02")


@pytest.mark.parametrize(
    ("name", "sensor", "expected"),
    [
        ("LC08_L1TP_192027_20230601_20230607_02_T1_B4.TIF", "landsat8_l2", "landsat8_l1"),
        ("LC09_L2SP_192027_20230601_20230607_02_T1_SR_B4.TIF", "landsat9_l1", "landsat9_l2"),
        ("LC09_L2SP_192027_20230601_20230607_02_T1_SR_B4.TIF", "landsat8_l2", "landsat9_l2"),
        ("LC08_L2SP_192027_20230601_20230607_02_T1_ST_B10.TIF", "landsat8_l2", "landsat8_l2_thermal"),
    ],
)
def test_the_name_of_a_landsat_file_says_level_and_satellite(tmp_path: Path, name: str, sensor: str, expected: str) -> None:
    write_raster(tmp_path / name, np.full((1, 8, 8), 12_000, np.uint16), gsd_m=30)
    band = "B10" if "B10" in name else "B4"
    with pytest.raises(DataError, match=rf"its name says Landsat . Level ., which is sensor {expected}, but .* read as {sensor};"):
        read(tmp_path / name, sensor, band)
    assert read(tmp_path / name, expected).size == (8, 8)
