"""Sentinel-1 GRD folders as delivered: calibration, noise, grid, and what is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.warp import transform

from eocore.data.io.readers import read_scene
from eocore.data.records import ImageRef
from eocore.errors import BandError, DataError
from eocore.sensors.scene import Scene
from eocore.synthetic.product_folders import MadeSentinel1, tie_points, write_sentinel1

FLAT = MadeSentinel1(sigma=(400.0, 400.0, 0.0), noise=(10_000.0, 10_000.0))


def read(folder: Path, **choice: object) -> Scene:
    return read_scene(ImageRef("sar", "sentinel1_grd", (str(folder),), **choice))  # type: ignore[arg-type]


def decibels(digital: float, sigma: float, noise: float = 0.0) -> float:
    return float(10 * np.log10((digital**2 - noise) / sigma**2))


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentinel1(tmp_path_factory.mktemp("s1"), FLAT)


@pytest.fixture
def own(product: Path, tmp_path: Path) -> Path:
    """A product that a test may damage."""
    return Path(shutil.copytree(product, tmp_path / product.name))


def test_digital_numbers_become_sigma0_in_decibels_on_a_map_grid(product: Path) -> None:
    scene = read(product)
    assert (scene.bands, scene.unit, scene.gsd_m) == (("VV", "VH"), "sigma0_db", pytest.approx(10))
    assert scene.georeference is not None and CRS.from_wkt(scene.georeference.crs).to_epsg() == 32633
    assert scene.georeference.transform[2] % 10 == scene.georeference.transform[5] % 10 == 0
    known = np.isfinite(scene.pixels)
    assert 0.5 < known.mean() < 0.9  # the image stands at an angle in its grid
    np.testing.assert_allclose(scene.pixels[0][known[0]], decibels(200, 400), atol=1e-3)
    np.testing.assert_allclose(scene.pixels[1][known[1]], decibels(100, 400), atol=1e-3)


@pytest.mark.parametrize("azimuth", [1.5, None])
def test_noise_is_subtracted_where_it_is_asked_for(tmp_path: Path, azimuth: float | None) -> None:
    folder = write_sentinel1(tmp_path, replace(FLAT, azimuth=azimuth))
    scene = read(folder, noise_removal=True)
    noise = 10_000.0 * (azimuth or 1.0)
    assert np.nanmedian(scene.pixels[0]) == pytest.approx(decibels(200, 400, noise), abs=1e-3)
    assert np.isnan(scene.pixels[1]).all()  # 100^2 does not exceed the noise


@pytest.mark.parametrize("descending", [True, False])
def test_places_and_calibration_follow_the_image(tmp_path: Path, descending: bool) -> None:
    """A bright pixel comes out where the tie points put it, and the calibration is interpolated along lines and pixels."""
    made = MadeSentinel1(size=(81, 101), sigma=(300.0, 500.0, 80.0), descending=descending)
    folder = write_sentinel1(tmp_path, made)
    line, pixel, longitude, latitude = tie_points(made)[14]
    path = next(folder.glob("measurement/*-vv-*.tiff"))
    with rasterio.open(path, "r+") as file:
        digital = file.read()
        digital[0, line - 1 : line + 1, pixel - 1 : pixel + 1] = 2000
        file.write(digital)
    scene = read(folder)
    assert scene.georeference is not None
    (x,), (y,) = transform("EPSG:4326", CRS.from_wkt(scene.georeference.crs), [longitude], [latitude])
    column, row = ~rasterio.Affine(*scene.georeference.transform) * (x, y)
    found = np.array(np.unravel_index(np.nanargmax(scene.pixels[0]), scene.size)) + 0.5
    assert np.abs(found - (row, column)).max() <= 1.5
    sigma = 300 + 200 * pixel / 100 + 80 * line / 80
    assert np.nanmax(scene.pixels[0]) == pytest.approx(decibels(2000, sigma), abs=0.5)
    here = scene.pixels[1, int(row), int(column)]
    assert here == pytest.approx(decibels(100, sigma), abs=0.15)


def test_a_window_equals_the_same_part_of_the_whole(tmp_path: Path) -> None:
    folder = write_sentinel1(tmp_path, MadeSentinel1(sigma=(300.0, 500.0, 80.0)))
    path = next(folder.glob("measurement/*-vv-*.tiff"))
    with rasterio.open(path, "r+") as file:
        file.write(np.random.default_rng(0).integers(50, 400, (1, 100, 120)).astype(np.uint16))
    whole, part = read(folder), read(folder, window=(40, 50, 30, 21))
    np.testing.assert_allclose(part.pixels, whole.pixels[:, 40:70, 50:71], atol=0.02)
    with pytest.raises(DataError, match=r"none of its 5 x 5 px holds data"):
        read(folder, window=(0, 0, 5, 5))


def test_coarser_pixels_by_choice(product: Path) -> None:
    scene = read(product, gsd_m=40.0)
    assert scene.gsd_m == pytest.approx(40)
    assert np.nanmedian(scene.pixels[0]) == pytest.approx(decibels(200, 400), abs=1e-3)


def test_one_polarisation_by_name(product: Path, tmp_path: Path) -> None:
    assert read(product, bands=("VH",)).bands == ("VH",)
    other = write_sentinel1(tmp_path, replace(FLAT, digital={"HH": 200, "HV": 100}))
    assert read(other).bands == ("HH", "HV")
    single = write_sentinel1(tmp_path, replace(FLAT, digital={"VV": 200}))
    assert read(single).bands == ("VV",)
    with pytest.raises(BandError, match="the product holds VV"):
        read(single, bands=("VH",))


@pytest.mark.parametrize(
    "name",
    [
        "measurement/*-vh-*.tiff",
        "annotation/s1a-*-vv-*.xml",
        "annotation/calibration/calibration-*-vh-*.xml",
        "annotation/calibration/noise-*-vv-*.xml",
    ],
)
def test_a_missing_file_is_refused_by_name(own: Path, name: str) -> None:
    path = next(own.glob(name))
    path.unlink()
    with pytest.raises(DataError, match=f"lacks .*{path.name.replace('-002', '-00[12]')}"):
        read(own, noise_removal=True)


def test_the_noise_is_not_needed_where_polarisations_are_named(own: Path) -> None:
    next(own.glob("annotation/calibration/noise-*-vv-*.xml")).unlink()
    assert read(own, bands=("VV",)).bands == ("VV",)
    with pytest.raises(DataError, match=r"lacks .*noise-s1a-iw-grd-vv"):
        read(own, bands=("VV",), noise_removal=True)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("annotation/s1a-*-vv-*.xml", "GRD</productType>", "SLC</productType>", "<productType> is 'SLC'; GRD products are read"),
        ("annotation/s1a-*-vv-*.xml", "<numberOfLines>100", "<numberOfLines>99", r"\(100, 120\) px .* its annotation is of \(99, 120\)"),
        ("annotation/s1a-*-vv-*.xml", "<latitude>45", "<latitude>145", "tie points .* span no area"),
        ("annotation/calibration/calibration-*-vv-*.xml", "sigmaNought", "other", "<sigmaNought> holds ''; expected numbers"),
        ("annotation/calibration/calibration-*-vv-*.xml", "calibrationVector>", "other>", "no <calibrationVector>"),
        ("annotation/calibration/calibration-*-vv-*.xml", "4.000000e+02", "0", "a <sigmaNought> is not positive"),
        ("annotation/calibration/calibration-*-vv-*.xml", "0 119", "119 0", "expected as many, in rising order"),
        ("annotation/calibration/calibration-*-vv-*.xml", "<line>99", "<line>0", "lines of <calibrationVector> do not rise"),
    ],
)
def test_a_broken_annotation_is_refused(own: Path, name: str, old: str, new: str, message: str) -> None:
    path = next(own.glob(name))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=message):
        read(own)


def test_tie_points_of_the_image_serve_where_the_annotation_has_none(own: Path) -> None:
    expected = read(own)
    for path in own.glob("annotation/*.xml"):
        path.write_text(path.read_text().replace("geolocationGridPoint>", "other>"))
    np.testing.assert_allclose(read(own).pixels, expected.pixels, atol=1e-3)
    for path in own.glob("measurement/*.tiff"):
        with rasterio.open(path) as file:
            pixels = file.read()
        with rasterio.open(path, "w", driver="GTiff", count=1, height=100, width=120, dtype="uint16") as file:
            file.write(pixels)
    with pytest.raises(DataError, match=r"0 tie points .* cannot be laid on a grid"):
        read(own)


def test_mountains_are_told(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next(own.glob("annotation/s1a-*-vv-*.xml"))
    path.write_text(path.read_text().replace("<height>50.0", "<height>900.0", 3))
    read(own, bands=("VV",))
    assert "heights differ by 850 m and radar images are read without terrain correction" in capsys.readouterr().err


def test_other_products_are_refused(tmp_path: Path, product: Path) -> None:
    slc = tmp_path / "S1A_IW_SLC__1SDV_20230613T165043_20230613T165110_048974_05E3B2_60B9.SAFE"
    slc.mkdir()
    with pytest.raises(DataError, match="a Sentinel-1 SLC product; GRD products are read"):
        read(slc)
    with pytest.raises(BandError, match="a Sentinel-1 GRD product of VV, VH, but the sensor is said to be sentinel1_rtc"):
        read_scene(ImageRef("sar", "sentinel1_rtc", (str(product),)))


def test_scale_tags_that_the_annotation_knows_nothing_of_are_refused(own: Path) -> None:
    with rasterio.open(next((own / "measurement").glob("*-vh-*")), "r+") as file:
        file.scales = (0.01,)
    with pytest.raises(
        DataError, match=r"-vh-.*its tags give scale and offset as \(0\.01, 0\), but the metadata of the product state none"
    ):
        read(own)
