"""Landsat Collection 2 folders as delivered: scaling of both levels, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from eocore.data.io.readers import read_scene
from eocore.data.records import ImageRef
from eocore.errors import BandError, DataError
from eocore.sensors.scene import Scene
from eocore.synthetic.product_folders import MadeLandsat, write_landsat


def read(folder: Path, sensor: str, **choice: object) -> Scene:
    return read_scene(ImageRef("multispectral", sensor, (str(folder),), **choice))  # type: ignore[arg-type]


@pytest.mark.parametrize("as_text", [False, True])
def test_level_1_is_divided_by_the_sine_of_the_sun_elevation(tmp_path: Path, as_text: bool) -> None:
    folder = write_landsat(tmp_path, MadeLandsat(1, 8, digital=10_000, sun_elevation_deg=30, as_text=as_text))
    scene = read(folder, "landsat8_l1")
    assert (scene.bands, scene.size, scene.gsd_m) == (tuple(f"B{n}" for n in range(1, 10)), (40, 40), pytest.approx(30))
    np.testing.assert_allclose(scene.pixels, (2.0e-5 * 10_000 - 0.1) / 0.5, atol=1e-6)
    fine = read(folder, "landsat8_l1", bands=("B8", "B4"), gsd_m=15.0)
    assert (fine.bands, fine.size, fine.gsd_m) == (("B8", "B4"), (80, 80), pytest.approx(15))


@pytest.mark.parametrize(("sensor", "value", "bands"), [("landsat9_l2", 0.35, 7), ("landsat9_l2_thermal", 217.3604, 1)])
def test_level_2_takes_its_own_scale_though_the_file_states_that_of_level_1_too(
    tmp_path: Path, sensor: str, value: float, bands: int
) -> None:
    scene = read(write_landsat(tmp_path, MadeLandsat(2, 9, digital=20_000)), sensor)
    assert len(scene.bands) == bands
    np.testing.assert_allclose(scene.pixels, value, rtol=1e-6)


def test_coarser_pixels_and_a_window(tmp_path: Path) -> None:
    folder = write_landsat(tmp_path, MadeLandsat(2, 9))
    assert read(folder, "landsat9_l2", bands=("red",), gsd_m=90.0).size == (14, 14)  # the last pixel is a part of one
    part = read(folder, "landsat9_l2", bands=("B4",), window=(5, 6, 7, 8))
    assert part.size == (7, 8)
    assert part.georeference is not None and part.georeference.transform[2:6:3] == (300_180, 5_099_850)
    with pytest.raises(DataError, match=r"cannot be averaged to gsd_m=20"):
        read(folder, "landsat9_l2", gsd_m=20.0)


@pytest.mark.parametrize("ending", ["_SR_B3.TIF", "_QA_PIXEL.TIF", "_MTL.*"])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, ending: str) -> None:
    folder = write_landsat(tmp_path, MadeLandsat(2, 8))
    for path in folder.glob(f"*{ending}"):
        path.unlink()
    with pytest.raises(DataError, match=f"lacks .*{ending.rstrip('.*')}"):
        read(folder, "landsat8_l2")


def test_other_sensors_are_refused(tmp_path: Path) -> None:
    folder = write_landsat(tmp_path, MadeLandsat(2, 9))
    with pytest.raises(BandError, match=r"level 2, but the sensor is said to be landsat8_l2; .* Its sensor is landsat9_l2"):
        read(folder, "landsat8_l2")


@pytest.mark.parametrize(
    ("group", "key", "value", "error", "message"),
    [
        ("IMAGE_ATTRIBUTES", "SPACECRAFT_ID", "LANDSAT_7", BandError, "a product of 'LANDSAT_7'; expected LANDSAT_8 or LANDSAT_9"),
        ("IMAGE_ATTRIBUTES", "SUN_ELEVATION", "-5", DataError, "sun elevation -5"),
        ("IMAGE_ATTRIBUTES", "SUN_ELEVATION", "nan", DataError, "SUN_ELEVATION holds 'nan'; expected a number"),
        ("PRODUCT_CONTENTS", "COLLECTION_NUMBER", "01", DataError, "levels 1 and 2 of collection 2 are read"),
        ("PRODUCT_CONTENTS", "FILE_NAME_BAND_2", "../x.TIF", DataError, "is no name of a file beside it"),
        ("LEVEL1_RADIOMETRIC_RESCALING", "REFLECTANCE_MULT_BAND_3", None, DataError, "no REFLECTANCE_MULT_BAND_3 in LEVEL1"),
    ],
)
def test_broken_metadata_are_refused(tmp_path: Path, group: str, key: str, value: str | None, error: type[Exception], message: str) -> None:
    folder = write_landsat(tmp_path, MadeLandsat(1, 8))
    path = next(folder.glob("*_MTL.json"))
    content = json.loads(path.read_text())
    values = content["LANDSAT_METADATA_FILE"][group]
    if value is None:
        del values[key]
    else:
        values[key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(error, match=message):
        read(folder, "landsat8_l1")


@pytest.mark.parametrize(("tags", "agree"), [((2.75e-05, -0.2), True), ((1e-4, 0.0), False), ((2e-5, -0.1), False)])
def test_scale_tags_of_a_file_say_what_the_metadata_say(tmp_path: Path, tags: tuple[float, float], agree: bool) -> None:
    folder = write_landsat(tmp_path, MadeLandsat(2, 9, side=4))
    with rasterio.open(next(folder.glob("*_SR_B3.TIF")), "r+") as file:
        file.scales, file.offsets = tags[:1], tags[1:]
    if agree:
        np.testing.assert_allclose(read(folder, "landsat9_l2").pixels, 0.35, rtol=1e-6)
        return
    with pytest.raises(DataError, match=r"_SR_B3\.TIF: its tags give scale and offset as \(.*the product state \(2\.75e-05, -0\.2\)"):
        read(folder, "landsat9_l2")
