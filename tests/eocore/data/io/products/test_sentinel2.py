"""Sentinel-2 folders as delivered: names, offsets, resolutions, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from eocore.data.io.readers import image_size, read_scene, scene_header
from eocore.data.records import ImageRef
from eocore.errors import BandError, DataError
from eocore.sensors.bands import get_sensor
from eocore.sensors.scene import Scene
from eocore.synthetic.product_folders import LOSSLESS, MadeSentinel2, write_old_sentinel2, write_raster, write_sentinel2

L2A, L1C = get_sensor("sentinel2_l2a").band_names, get_sensor("sentinel2_l1c").band_names
FEW = ("B02", "B05", "B09")
VALUES = {"B02": 0.2, "B05": 0.3, "B8A": 0.4, "B09": 0.05, "B10": 0.01}


def read(folder: Path, sensor: str = "sentinel2_l2a", **choice: object) -> Scene:
    return read_scene(ImageRef("multispectral", sensor, (str(folder),), **choice))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentinel2(tmp_path_factory.mktemp("l2a"), MadeSentinel2(reflectance=VALUES, side_m=240))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentinel2(tmp_path_factory.mktemp("small"), MadeSentinel2(reflectance=VALUES, side_m=60))


@pytest.fixture
def own(small: Path, tmp_path: Path) -> Path:
    """A product that a test may damage."""
    return Path(shutil.copytree(small, tmp_path / small.name))


def test_the_driver_writes_and_reads_every_number(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 2**16, (1, 40, 30), dtype=np.uint16)
    write_raster(tmp_path / "a.jp2", pixels, gsd_m=10, driver="JP2OpenJPEG", **LOSSLESS)
    with rasterio.open(tmp_path / "a.jp2") as file:
        assert (file.read() == pixels).all()


@pytest.mark.parametrize(
    ("baseline", "sensor"), [("05.09", "sentinel2_l2a_pb0400"), ("02.14", "sentinel2_l2a"), ("04.00", "sentinel2_l2a")]
)
def test_the_offset_comes_from_the_metadata(tmp_path: Path, baseline: str, sensor: str) -> None:
    scene = read(write_sentinel2(tmp_path, MadeSentinel2("2A", baseline, VALUES, side_m=60)), sensor)
    assert (scene.bands, scene.size, scene.unit, scene.gsd_m) == (L2A, (6, 6), "reflectance", pytest.approx(10))
    for band, pixels in zip(scene.bands, scene.pixels, strict=True):
        np.testing.assert_allclose(pixels, VALUES.get(band, 0.1), atol=1e-6)


@pytest.mark.parametrize(("baseline", "gsd_m", "side"), [("02.09", None, 6), ("05.10", 20.0, 3)])
def test_level_1c_of_both_baselines(tmp_path: Path, baseline: str, gsd_m: float | None, side: int) -> None:
    scene = read(write_sentinel2(tmp_path, MadeSentinel2("1C", baseline, VALUES, side_m=60)), "sentinel2_l1c", gsd_m=gsd_m)
    assert (scene.bands, scene.size) == (L1C, (side, side))
    assert {band: round(float(pixels.mean()), 4) for band, pixels in zip(scene.bands, scene.pixels, strict=True)} == {
        band: VALUES.get(band, 0.1) for band in L1C
    }


def test_the_naming_before_december_2016(tmp_path: Path) -> None:
    scene = read(write_old_sentinel2(tmp_path, reflectance=0.25), "sentinel2_l1c")
    assert scene.bands == L1C
    np.testing.assert_allclose(scene.pixels, 0.25, atol=1e-6)


def test_one_of_several_tiles_is_named_by_its_folder(tmp_path: Path) -> None:
    folder = write_old_sentinel2(tmp_path, tiles=("33UUP", "33UVP"), reflectance=0.25)
    with pytest.raises(DataError, match=r"2 tiles below GRANULE \(S2A_OPER.*T33UUP.*, S2A_OPER.*T33UVP.*Name the folder of one of them"):
        read(folder, "sentinel2_l1c")
    tile = next((folder / "GRANULE").glob("*T33UVP*"))
    scene = read(tile, "sentinel2_l1c", bands=("B04",))
    assert scene.bands == ("B04",)
    assert "T33UVP" in scene.path


def test_bands_are_chosen_by_name_in_any_order(product: Path) -> None:
    scene = read(product, bands=("B05", "blue"))
    assert (scene.bands, scene.size) == (("B05", "B02"), (24, 24))
    np.testing.assert_allclose(scene.pixels.mean((1, 2)), (0.3, 0.2), atol=1e-6)
    with pytest.raises(BandError, match="no band 'B10'"):
        read(product, bands=("B10",))
    with pytest.raises(BandError, match="each once"):
        read(product, bands=("B02", "B2"))


@pytest.mark.parametrize(("gsd_m", "side"), [(None, 24), (10.0, 24), (20.0, 12), (60.0, 4), (120.0, 2)])
def test_all_bands_on_one_grid(product: Path, gsd_m: float | None, side: int) -> None:
    scene = read(product, bands=FEW, gsd_m=gsd_m)
    assert scene.size == (side, side)
    assert scene.gsd_m == pytest.approx(gsd_m or 10)
    np.testing.assert_allclose(scene.pixels.mean((1, 2)), [VALUES[band] for band in FEW], atol=1e-6)


def test_finer_pixels_are_averaged_without_those_that_have_no_data(own: Path) -> None:
    path = next(own.rglob("*_B08_10m.jp2"))
    digital = np.full((1, 6, 6), 3000, np.uint16)
    digital[0, 0, 0], digital[0, 0, 1], digital[0, 1, :2] = 0, 65_535, 5000
    digital[0, 2:4, 2:4] = 0
    write_raster(path, digital, gsd_m=10, driver="JP2OpenJPEG", **LOSSLESS)
    (pixels,) = read(own, bands=("B08",), gsd_m=20.0).pixels
    assert pixels[0, 0] == pytest.approx(0.4)
    assert np.isnan(pixels[1, 1])
    assert pixels[2, 2] == pytest.approx(0.2)


def test_a_pixel_size_that_no_band_fits_is_refused(product: Path) -> None:
    with pytest.raises(DataError, match=r"pixels of 20 m cannot be averaged to gsd_m=30; expected a multiple of 20 m"):
        read(product, bands=("B05",), gsd_m=30.0)


def test_a_window_equals_the_same_part_of_the_whole(product: Path) -> None:
    whole, part = read(product, bands=FEW), read(product, bands=FEW, window=(3, 5, 8, 7))
    np.testing.assert_allclose(part.pixels, whole.pixels[:, 3:11, 5:12], atol=1e-6)
    assert part.georeference is not None and part.georeference.transform[2:6:3] == (300_050, 5_099_970)


def test_the_header_is_read_without_pixels(product: Path) -> None:
    ref = ImageRef("multispectral", "sentinel2_l2a", (str(product),), gsd_m=20.0)
    header = scene_header(ref)
    assert (header.height, header.width, header.bands, header.unit) == (12, 12, L2A, "reflectance")
    assert image_size(ref) == (12, 12)


@pytest.mark.parametrize("name", ["MTD_MSIL2A.xml", "*_B02_10m.jp2", "*_B09_60m.jp2", "*_SCL_20m.jp2", "MTD_TL.xml"])
def test_a_missing_file_is_refused_by_name(own: Path, name: str) -> None:
    path = next(own.rglob(name))
    path.unlink()
    with pytest.raises(DataError, match=f"lacks .*{path.name}|{path.name}: the product lacks"):
        read(own)


def test_a_missing_file_of_an_old_product_is_refused_by_name(tmp_path: Path) -> None:
    folder = write_old_sentinel2(tmp_path)
    path = next(folder.rglob("*_B07.jp2"))
    path.unlink()
    with pytest.raises(DataError, match=f"lacks .*{path.name}"):
        read(folder, "sentinel2_l1c")


def test_bands_that_are_there_are_read_from_an_incomplete_copy(own: Path) -> None:
    for path in own.rglob("*_B12_*.jp2"):
        path.unlink()
    assert read(own, bands=("B04", "B03")).bands == ("B04", "B03")
    with pytest.raises(DataError, match=r"lacks .*_B12"):
        read(own, bands=("B12",))


def test_other_sensors_are_refused(product: Path, tmp_path: Path) -> None:
    with pytest.raises(BandError, match=r"Sentinel-2 Level-2A of processing baseline 05\.09, but the sensor is said to be sentinel2_l1c"):
        read(product, "sentinel2_l1c")
    old = write_sentinel2(tmp_path, MadeSentinel2("2A", "02.14", side_m=60))
    with pytest.raises(BandError, match=r"baseline 02\.14, but the sensor is said to be sentinel2_l2a_pb0400"):
        read(old, "sentinel2_l2a_pb0400")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('band_id="3">-1000', 'band_id="3">x', "ADD_OFFSET.* holds 'x'; expected a number"),
        ('band_id="3"', 'band_id="31"', "an offset of band_id 31; expected 0 to 12"),
        ("05.09", "", "PROCESSING_BASELINE.* holds ''; expected a number"),
        ("Level-2A</PROCESSING", "Level-0</PROCESSING", "expected Level-1C or Level-2A"),
        (">10000<", ">0<", "quantification 0"),
        ("BOA_ADD_OFFSET ", "OTHER ", "not usable XML"),
        ("<n1:General_Info>", '<!DOCTYPE x [<!ENTITY a "b">]><n1:General_Info>', "not usable XML"),
    ],
)
def test_broken_metadata_are_refused(own: Path, old: str, new: str, message: str) -> None:
    path = own / "MTD_MSIL2A.xml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        read(own)


def test_offsets_that_the_baseline_must_state_are_asked_for(own: Path) -> None:
    path = own / "MTD_MSIL2A.xml"
    path.write_text(path.read_text().replace("BOA_ADD_OFFSET", "NO_OFFSET"))
    with pytest.raises(DataError, match=r"0 offsets, processing baseline 05\.09; .* an offset for each band"):
        read(own)


def test_pictures_in_place_of_bands_are_refused(own: Path) -> None:
    path = next(own.rglob("*_B04_10m.jp2"))
    write_raster(path, np.zeros((1, 6, 6), np.uint8), gsd_m=10, driver="JP2OpenJPEG", **LOSSLESS)
    with pytest.raises(DataError, match="uint8 pixels, expected uint16 digital numbers"):
        read(own)


def test_a_link_out_of_the_product_is_refused(own: Path, tmp_path: Path) -> None:
    path = next(own.rglob("*_B04_10m.jp2"))
    path.rename(tmp_path / "elsewhere.jp2")
    path.symlink_to(tmp_path / "elsewhere.jp2")
    with pytest.raises(DataError, match="leads out of its folder"):
        read(own)


def test_the_finest_file_of_a_named_band_is_not_replaced_by_a_coarser_one(own: Path) -> None:
    path = next(own.rglob("*_B02_10m.jp2"))
    path.unlink()
    with pytest.raises(DataError, match=r"lacks .*_B02_10m\.jp2"):
        read(own, bands=("B02", "B03"))
    assert read(own, bands=("B02", "B03"), gsd_m=20.0).size == (3, 3)


def test_a_file_of_other_pixels_is_another_file(own: Path) -> None:
    shutil.copy(next(own.rglob("*_B03_20m.jp2")), next(own.rglob("*_B03_10m.jp2")))
    with pytest.raises(DataError, match=r"_B03_10m\.jp2: pixels of 20 m, expected 10 m; it is another file"):
        read(own)


def test_pixels_finer_than_those_of_all_bands_are_refused(small: Path) -> None:
    with pytest.raises(DataError, match=r"gsd_m=5, but the finest of B02, B05 has pixels of 10 m"):
        read(small, bands=("B02", "B05"), gsd_m=5.0)
    with pytest.raises(DataError, match=r"gsd_m=10, but the finest of B05 has pixels of 20 m"):
        read(small, bands=("B05",), gsd_m=10.0)
