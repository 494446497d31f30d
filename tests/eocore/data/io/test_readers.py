"""Scenes: the right bands, units and places, whatever the files; and a clear error for every file that cannot be one."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from eocore.data.io.readers import SceneHeader, image_size, read_class_map, read_scene, scene_header
from eocore.data.records import ImageRef
from eocore.errors import BandError, DataError
from eocore.sensors.bands import get_sensor
from eocore.sensors.scene import Georeference, Scene

L2A = get_sensor("sentinel2_l2a").band_names
UTM = "EPSG:32632"


def write_tiff(path: Path, pixels: np.ndarray, *, names: tuple[str, ...] = (), gsd_m: float = 10.0, **profile: Any) -> str:
    """A GeoTIFF of (C, H, W) whose corner lies at 500000 E, 6000000 N."""
    count, height, width = pixels.shape
    place = {"crs": UTM, "transform": from_origin(500_000, 6_000_000, gsd_m, gsd_m)} | profile
    with rasterio.open(path, "w", driver="GTiff", count=count, height=height, width=width, dtype=pixels.dtype, **place) as dataset:
        dataset.write(pixels)
        for index, name in enumerate(names, start=1):
            dataset.set_band_description(index, name)
    return str(path)


def digital(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 10_000, (count, height, width), dtype=np.uint16)


def read(path: str | Path, sensor: str, *, bands: tuple[str, ...] = (), **options: Any) -> Scene:
    return read_scene(ImageRef("image", sensor, (str(path),), bands=bands), **options)


# Units, nodata, place


def test_geotiff_in_reflectance_with_its_place(tmp_path: Path) -> None:
    pixels = digital(12, 6, 8)
    pixels[3, 2, 1] = 0
    scene = read(write_tiff(tmp_path / "a.tif", pixels), "sentinel2_l2a")
    assert (scene.unit, scene.bands, scene.size, scene.gsd_m) == ("reflectance", L2A, (6, 8), pytest.approx(10))
    assert scene.georeference is not None
    assert rasterio.crs.CRS.from_wkt(scene.georeference.crs).to_epsg() == 32632
    assert scene.georeference.transform == (10, 0, 500_000, 0, -10, 6_000_000)
    assert np.isnan(scene.pixels[3, 2, 1])
    assert np.isnan(scene.pixels).sum() == 1
    np.testing.assert_allclose(np.nan_to_num(scene.pixels), pixels / 10_000, rtol=1e-6)


def test_a_window_equals_the_same_part_of_the_whole_and_moves_the_transform(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", digital(12, 20, 30))
    whole, part = read(path, "sentinel2_l2a"), read(path, "sentinel2_l2a", window=(4, 7, 10, 12))
    assert (part.pixels == whole.pixels[:, 4:14, 7:19]).all()
    assert part.georeference is not None
    assert part.georeference.transform == (10, 0, 500_070, 0, -10, 5_999_960)


@pytest.mark.parametrize("window", [(-1, 0, 3, 3), (0, 0, 7, 3), (0, 6, 3, 3), (0, 0, 0, 3)])
def test_a_window_outside_is_refused(tmp_path: Path, window: tuple[int, int, int, int]) -> None:
    path = write_tiff(tmp_path / "a.tif", digital(12, 6, 8))
    with pytest.raises(DataError, match=r"a\.tif: window \(row, col, height, width\) = .* leaves the 6 x 8 px\. Move it inside"):
        read(path, "sentinel2_l2a", window=window)


def test_what_the_file_declares_as_nodata_is_nan_in_that_band(tmp_path: Path) -> None:
    pixels = np.full((2, 3, 3), -12.0, np.float64)
    pixels[0, 0, 0], pixels[1, 1, 1], pixels[1, 2, 2] = -9999, np.nan, np.inf
    scene = read(write_tiff(tmp_path / "a.tif", pixels, nodata=-9999), "sentinel1_rtc")
    assert np.argwhere(np.isnan(scene.pixels)).tolist() == [[0, 0, 0], [1, 1, 1], [1, 2, 2]]


def test_black_is_a_colour_unless_the_file_says_nodata_and_all_bands_are_black(tmp_path: Path) -> None:
    pixels = np.full((3, 2, 2), 9, np.uint8)
    pixels[:, 0, 0], pixels[0, 1, 1] = 0, 0
    plain = read(write_tiff(tmp_path / "a.tif", pixels), "rgb_uint8")
    declared = read(write_tiff(tmp_path / "b.tif", pixels, nodata=0), "rgb_uint8")
    assert (plain.pixels == pixels).all()
    assert np.argwhere(np.isnan(declared.pixels)).tolist() == [[0, 0, 0], [1, 0, 0], [2, 0, 0]]


def test_alpha_of_a_geotiff_is_no_band(tmp_path: Path) -> None:
    pixels = np.full((4, 2, 2), 255, np.uint8)
    pixels[3, 0, 1] = 0
    scene = read(write_tiff(tmp_path / "a.tif", pixels, photometric="RGB", alpha="YES"), "rgb_uint8")
    assert scene.bands == ("red", "green", "blue")
    assert np.argwhere(np.isnan(scene.pixels)).tolist() == [[0, 0, 1], [1, 0, 1], [2, 0, 1]]


@pytest.mark.parametrize(("latitude", "gsd_m"), [(0.005, 11.12), (60.005, 7.862)])
def test_gsd_of_a_grid_in_degrees(tmp_path: Path, latitude: float, gsd_m: float) -> None:
    """1e-4 degrees are 11.12 m of latitude; of longitude that times the cosine; the geometric mean of both is reported."""
    transform = from_origin(9, latitude, 1e-4, 1e-4)
    scene = read(write_tiff(tmp_path / "a.tif", digital(12, 100, 4), crs="EPSG:4326", transform=transform), "sentinel2_l2a")
    assert scene.gsd_m == pytest.approx(gsd_m, rel=1e-3)


def test_no_place_is_said_so(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", count=1, height=3, width=3, dtype="uint8") as dataset:
        dataset.write(np.ones((1, 3, 3), np.uint8))
    recwarn.clear()
    scene = read(path, "grey_uint8")
    assert scene.georeference is None
    assert np.isnan(scene.gsd_m)
    assert not recwarn.list


def test_a_transform_without_a_coordinate_system_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=3, width=3, dtype="uint8", transform=from_origin(100, 200, 10, 10)
    ) as dataset:
        dataset.write(np.ones((1, 3, 3), np.uint8))
    scene = read(path, "grey_uint8", window=(1, 1, 2, 2))
    assert scene.georeference == Georeference("", (10.0, 0.0, 110.0, 0.0, -10.0, 190.0)) and np.isnan(scene.gsd_m)


# Band names


def test_descriptions_name_the_bands_in_any_order_and_spelling(tmp_path: Path) -> None:
    pixels = digital(3, 4, 4)
    scene = read(write_tiff(tmp_path / "a.tif", pixels, names=("B8a", "b4", "B02")), "sentinel2_l2a")
    assert scene.bands == ("B8A", "B04", "B02")
    np.testing.assert_allclose(scene.select(("B02",)).pixels[0], pixels[2] / 10_000, rtol=1e-6)


def test_given_names_come_before_those_in_the_file(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", digital(2, 4, 4), names=("B02", "B03"))
    assert read(path, "sentinel2_l2a", bands=("B11", "B12")).bands == ("B11", "B12")


def test_meaningless_descriptions_leave_the_sensors_order(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.full((2, 3, 3), -9, np.float32), names=("bands", "bands"))
    assert read(path, "sentinel1_grd").bands == ("VV", "VH")


def test_colours_of_the_file_name_the_bands(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.zeros((3, 2, 2), np.uint8), photometric="RGB")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [rasterio.enums.ColorInterp[name] for name in ("blue", "green", "red")]
    assert read(path, "rgb_uint8").bands == ("blue", "green", "red")


@pytest.mark.parametrize(
    ("names", "bands", "message"),
    [
        ((), (), r"a\.tif: 3 unnamed layers, but sentinel2_l2a has 12 bands \(B01, .*\)\. Give the names of the layers in `bands`"),
        (("B02", "B03", "QA"), (), r"the layers are called B02, B03, QA, of which sentinel2_l2a knows, once each, only some"),
        (("B02", "B03", "B03"), (), "once each, only some"),
        ((), ("B02", "B03"), r"3 layers, but `bands` gives 2 names \(B02, B03\)\. Give each layer one name"),
        ((), ("B02", "B03", "B3"), r"`bands` gives 3 names \(B02, B03, B03\)"),
        ((), ("B02", "B03", "B10"), "sentinel2_l2a has no band 'B10'"),
    ],
)
def test_layers_that_do_not_name_the_bands(tmp_path: Path, names: tuple[str, ...], bands: tuple[str, ...], message: str) -> None:
    with pytest.raises(BandError, match=message):
        read(write_tiff(tmp_path / "a.tif", digital(3, 4, 4), names=names), "sentinel2_l2a", bands=bands)


def test_unknown_sensor_and_no_file() -> None:
    with pytest.raises(BandError, match="unknown sensor 'sentinel2'"):
        read("a.tif", "sentinel2")
    with pytest.raises(DataError, match=r"an image of sensor rgb_uint8 names no file\. Give it one path"):
        read_scene(ImageRef("rgb", "rgb_uint8", ()))


# Scale and offset of the file


def tagged(path: Path, pixels: np.ndarray, tags: list[tuple[float, float]]) -> str:
    """As `write_tiff`, with (scale, offset) of each layer."""
    write_tiff(path, pixels)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = [scale for scale, _ in tags], [offset for _, offset in tags]
    return str(path)


def test_tags_of_scale_and_offset_are_applied_once_and_by_layer(tmp_path: Path) -> None:
    pixels = digital(12, 6, 8)
    plain = read(write_tiff(tmp_path / "a.tif", pixels), "sentinel2_l2a")
    newer = tagged(tmp_path / "b.tif", pixels + 1000, [(0.0001, -0.1)] * 12)
    mixed = pixels + np.where(np.arange(12) < 6, 1000, 0).astype(np.uint16)[:, None, None]
    by_layer = tagged(tmp_path / "c.tif", mixed, [(0.0001, -0.1)] * 6 + [(0.0001, 0.0)] * 6)
    same = tagged(tmp_path / "d.tif", pixels, [(0.0001, 0.0)] * 12)
    for path, sensor in ((newer, "sentinel2_l2a"), (newer, "sentinel2_l2a_pb0400"), (by_layer, "sentinel2_l2a"), (same, "sentinel2_l2a")):
        np.testing.assert_allclose(read(path, sensor).pixels, plain.pixels, atol=2e-7)


def test_landsats_own_tags_change_nothing_and_belong_to_landsat(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(8000, 20_000, (7, 6, 8), dtype=np.uint16)
    plain, path = write_tiff(tmp_path / "a.tif", pixels), tagged(tmp_path / "b.tif", pixels, [(2.75e-05, -0.2)] * 7)
    np.testing.assert_array_equal(read(path, "landsat8_l2").pixels, read(plain, "landsat8_l2").pixels)
    with pytest.raises(DataError, match=r"b\.tif: its tags give .*of landsat8_l2, landsat9_l2: name that sensor"):
        read(path, "sentinel2_l2a", bands=L2A[:7])


def test_tags_make_integers_decibels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(-2500, -500, (2, 6, 8), dtype=np.int16)
    path = tagged(tmp_path / "a.tif", pixels, [(0.01, 0.0)] * 2)
    np.testing.assert_allclose(read(path, "sentinel1_grd").pixels, pixels / 100, rtol=1e-6)


def test_a_tag_left_in_a_scaled_file_is_found(tmp_path: Path) -> None:
    path = tagged(tmp_path / "a.tif", digital(12, 6, 8) / np.float32(10_000), [(0.0001, 0.0)] * 12)
    with pytest.raises(DataError, match=r"divided by the scale twice.*scale tag left in it"):
        read(path, "sentinel2_l2a_reflectance")


def test_a_layer_that_is_left_out_takes_its_tags_along(tmp_path: Path) -> None:
    pixels = digital(3, 6, 8)
    path = tagged(tmp_path / "a.tif", pixels, [(1.0, 0.0), (0.0001, -0.1), (0.0001, 0.0)])
    scene = read(path, "sentinel2_l2a", bands=("-", "B02", "B03"))
    np.testing.assert_allclose(scene.pixels, pixels[1:] / 1e4 - np.array([0.1, 0.0])[:, None, None], atol=2e-7)


def test_files_of_one_image_need_tags_alike(tmp_path: Path) -> None:
    paths = (tagged(tmp_path / "x_B02.tif", digital(1, 6, 8), [(0.0001, -0.1)]), write_tiff(tmp_path / "x_B03.tif", digital(1, 6, 8)))
    with pytest.raises(DataError, match=r"x_B02\.tif has tags .* differ from those of sentinel2_l1c, and .*x_B03\.tif has none"):
        read_scene(ImageRef("multispectral", "sentinel2_l1c", paths))


# Numbers that are not the sensor's


def test_the_image_as_a_whole_tells_its_unit(tmp_path: Path) -> None:
    """Each band of its own file: what one cannot tell, twelve can."""
    pictures = np.random.default_rng(0).integers(0, 256, (12, 64, 64), dtype=np.uint16)
    paths = tuple(write_tiff(tmp_path / f"x_{name}.tif", pixels[None]) for name, pixels in zip(L2A, pictures, strict=True))
    with pytest.raises(DataError, match=r"x_B01\.tif and 11 more: all numbers are between 0 and 255"):
        read_scene(ImageRef("multispectral", "sentinel2_l2a", paths))


def test_a_fill_value_is_refused_until_the_file_declares_it(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).normal(-12, 3, (2, 16, 16)).astype(np.float32)
    pixels[:, :2] = -9999
    with pytest.raises(DataError, match=r"a\.tif: 64 of 512 numbers are -9999.*rio edit-info --nodata -9999 FILE"):
        read(write_tiff(tmp_path / "a.tif", pixels), "sentinel1_rtc")
    scene = read(write_tiff(tmp_path / "b.tif", pixels, nodata=-9999), "sentinel1_rtc")
    assert np.isnan(scene.pixels).sum() == 64


def test_colours_count_where_descriptions_are_all_alike(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.zeros((3, 2, 2), np.uint8), names=("bands",) * 3, photometric="RGB")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [rasterio.enums.ColorInterp[name] for name in ("blue", "green", "red")]
    assert read(path, "rgb_uint8").bands == ("blue", "green", "red")


# One file per band


def ramp(height: int, width: int, gsd_m: float) -> np.ndarray:
    """(1, H, W) digital numbers that grow by one a metre eastwards and three a metre southwards, taken at pixel centres."""
    rows, cols = np.mgrid[:height, :width] + 0.5
    return (1000 + cols * gsd_m + 3 * rows * gsd_m).astype(np.float32)[None]


def write_bands(folder: Path, stems: tuple[str, ...], gsds_m: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(
        write_tiff(folder / f"{stem}.tif", ramp(120 // gsd_m, 180 // gsd_m, gsd_m), gsd_m=gsd_m)
        for stem, gsd_m in zip(stems, gsds_m, strict=True)
    )


def test_coarser_bands_are_interpolated_on_the_finest_grid(tmp_path: Path) -> None:
    """Bilinear interpolation gives a linear ramp back exactly, away from the edges where it has no second neighbour."""
    paths = write_bands(tmp_path, ("x_B05", "x_B02", "x_B01"), (20, 10, 60))
    scene = read_scene(ImageRef("multispectral", "sentinel2_l2a", paths))
    assert (scene.bands, scene.size, scene.gsd_m) == (("B05", "B02", "B01"), (12, 18), pytest.approx(10))
    assert image_size(ImageRef("multispectral", "sentinel2_l2a", paths)) == (12, 18)
    assert np.isfinite(scene.pixels).all()
    truth = ramp(12, 18, 10)[0] / 10_000
    np.testing.assert_allclose(scene.pixels[1], truth, rtol=1e-6)
    np.testing.assert_allclose(scene.pixels[0, 1:-1, 1:-1], truth[1:-1, 1:-1], rtol=1e-5)
    np.testing.assert_allclose(scene.pixels[2, 3:-3, 3:-3], truth[3:-3, 3:-3], rtol=1e-5)


@pytest.mark.parametrize("window", [(0, 0, 12, 18), (3, 5, 6, 7), (11, 17, 1, 1), (0, 13, 5, 5)])
def test_a_window_of_resampled_bands_equals_the_whole(tmp_path: Path, window: tuple[int, int, int, int]) -> None:
    ref = ImageRef("multispectral", "sentinel2_l2a", write_bands(tmp_path, ("x_B05", "x_B02", "x_B01"), (20, 10, 60)))
    row, col, height, width = window
    whole = read_scene(ref).pixels[:, row : row + height, col : col + width]
    np.testing.assert_allclose(read_scene(ref, window=window).pixels, whole, rtol=1e-6)


def test_no_data_does_not_bleed_into_its_neighbours(tmp_path: Path) -> None:
    coarse = np.full((1, 6, 6), 5000, np.uint16)
    coarse[0, :, 3:] = 0
    paths = (
        write_tiff(tmp_path / "B02.tif", np.full((1, 12, 12), 100, np.uint16)),
        write_tiff(tmp_path / "B05.tif", coarse, gsd_m=20),
    )
    pixels = read_scene(ImageRef("multispectral", "sentinel2_l2a", paths)).pixels[1]
    np.testing.assert_allclose(pixels[:, :6], 0.5, rtol=1e-6)
    assert np.isnan(pixels[:, 6:]).all()


def test_a_grid_on_pixel_centres_is_laid_where_it_belongs(tmp_path: Path) -> None:
    """Landsat's panchromatic grid lies half a fine pixel off the others; its neighbours must not be taken as aligned."""
    fine = write_tiff(tmp_path / "x_B8.tif", np.full((1, 12, 12), 9000, np.uint16), gsd_m=15)
    west = from_origin(500_000 - 7.5, 6_000_000, 30, 30)
    coarse = write_tiff(tmp_path / "x_B4.tif", (ramp(6, 6, 30) + 6000).astype(np.uint16), transform=west)
    pixels = read_scene(ImageRef("multispectral", "landsat8_l1", (fine, coarse))).pixels[1]
    expected = (ramp(12, 12, 15)[0] + 6007.5) * 2e-5 - 0.1
    np.testing.assert_allclose(pixels[1:-1, 1:-1], expected[1:-1, 1:-1], rtol=1e-4)


def test_files_of_one_size_but_shifted_are_interpolated(tmp_path: Path) -> None:
    """A third of a pixel apart, two grids are not one, though their sizes agree."""
    first = write_tiff(tmp_path / "x_B02.tif", ramp(9, 9, 10))
    second = write_tiff(tmp_path / "x_B03.tif", ramp(9, 9, 10), transform=from_origin(500_000 - 3, 6_000_000, 10, 10))
    pixels = read_scene(ImageRef("multispectral", "sentinel2_l2a", (first, second))).pixels
    np.testing.assert_allclose(pixels[1, 1:-1, 1:-1], pixels[0, 1:-1, 1:-1] + 3e-4, rtol=1e-5)


@pytest.mark.parametrize("shift_m", [10.0, 31.0])
def test_files_of_other_places_are_refused(tmp_path: Path, shift_m: float) -> None:
    near = write_tiff(tmp_path / "x_B02.tif", digital(1, 12, 12))
    far = write_tiff(tmp_path / "x_B05.tif", digital(1, 6, 6), transform=from_origin(500_000 + shift_m + 0.5, 6_000_000, 20, 20))
    with pytest.raises(DataError, match=r"x_B05\.tif \(6 x 6 px of 20 .*EPSG:32632\) and .*x_B02\.tif .* do not cover the same ground"):
        read_scene(ImageRef("multispectral", "sentinel2_l2a", (near, far)))


def test_files_of_other_crs_or_none_are_refused(tmp_path: Path) -> None:
    near = write_tiff(tmp_path / "x_B02.tif", digital(1, 12, 12))
    zone = write_tiff(tmp_path / "x_B05.tif", digital(1, 6, 6), gsd_m=20, crs="EPSG:32633")
    with pytest.raises(DataError, match=r"EPSG:32633.*do not cover the same ground"):
        read_scene(ImageRef("multispectral", "sentinel2_l2a", (near, zone)))
    np.save(tmp_path / "x_B05.npy", digital(1, 12, 12))
    with pytest.raises(DataError, match=r"no georeference.*do not cover the same ground"):
        read_scene(ImageRef("multispectral", "sentinel2_l2a", (near, str(tmp_path / "x_B05.npy"))))


def test_files_without_place_must_have_one_size(tmp_path: Path) -> None:
    for name, side in (("B02", 12), ("B03", 12), ("B05", 6)):
        np.save(tmp_path / f"x_{name}.npy", digital(1, side, side))
    path = str(tmp_path / "x_{}.npy")
    assert read_scene(ImageRef("multispectral", "sentinel2_l2a", (path.format("B03"), path.format("B02")))).bands == ("B03", "B02")
    with pytest.raises(DataError, match=r"x_B05\.npy \(6 x 6 px, no georeference\) and .*x_B02\.npy \(12 x 12"):
        read_scene(ImageRef("multispectral", "sentinel2_l2a", (path.format("B02"), path.format("B05"))))


def test_file_names_tell_the_bands_though_sorted_otherwise(tmp_path: Path) -> None:
    """Sorted by name, B8A comes last: taken for the sensor's order, three bands would be swapped silently."""
    for name in L2A:
        write_tiff(tmp_path / f"T32_20210721_{name}_10m.tif", digital(1, 4, 4))
    paths = tuple(str(path) for path in sorted(tmp_path.glob("*.tif")))
    assert read_scene(ImageRef("multispectral", "sentinel2_l2a", paths)).bands == (*L2A[:8], "B09", "B11", "B12", "B8A")


def test_file_names_that_tell_only_some_bands_are_refused(tmp_path: Path) -> None:
    paths = tuple(write_tiff(tmp_path / f"{name}.tif", digital(1, 4, 4)) for name in ("x_B02", "x_B03", "x_QA"))
    with pytest.raises(BandError, match=r"the file names are called B02, B03, None, of which sentinel2_l2a knows"):
        read_scene(ImageRef("multispectral", "sentinel2_l2a", paths))
    assert read_scene(ImageRef("multispectral", "sentinel2_l2a", paths, bands=("B02", "B03", "B04"))).bands == ("B02", "B03", "B04")


# Limits


def test_size_is_refused_from_the_header(tmp_path: Path) -> None:
    """A sparse file of a few KB that claims 94 GB."""
    path = tmp_path / "sparse.tif"
    profile = {"tiled": True, "blockxsize": 512, "blockysize": 512, "sparse_ok": True}
    with rasterio.open(path, "w", driver="GTiff", count=12, height=60_000, width=60_000, dtype="uint16", crs=UTM, **profile):
        pass
    with pytest.raises(DataError, match=r"sparse\.tif: reading 60000 x 60000 px would take [\d,]+ MB of memory, allowed are 512 MB"):
        read(path, "sentinel2_l2a")
    assert image_size(ImageRef("multispectral", "sentinel2_l2a", (str(path),))) == (60_000, 60_000)
    with pytest.raises(DataError, match="none of its 64 x 64 px holds data"):
        read(path, "sentinel2_l2a", window=(0, 0, 64, 64))


def test_budget_counts_stored_and_converted_pixels(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", digital(12, 100, 100))
    need = 12 * 100 * 100 * (2 + 4)
    assert read(path, "sentinel2_l2a", max_bytes=need).size == (100, 100)
    with pytest.raises(DataError, match=r"Read a part of it \(predict: --window ROW,COL,HEIGHT,WIDTH; records: `window`\) or allow more"):
        read(path, "sentinel2_l2a", max_bytes=need - 1)


def test_a_window_does_not_hide_a_huge_block(tmp_path: Path) -> None:
    """One strip of the whole image must be decoded for any window of it."""
    path = write_tiff(tmp_path / "a.tif", digital(1, 400, 400), blockysize=400, compress="deflate")
    with pytest.raises(DataError, match="would take"):
        read(path, "sentinel2_l2a", bands=("B02",), window=(0, 0, 4, 4), max_bytes=300_000)


# Class maps


def test_class_map_as_stored(tmp_path: Path) -> None:
    classes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    write_tiff(tmp_path / "m.tif", classes[None], nodata=0)
    palette = Image.fromarray(classes).convert("P")
    palette.putpalette([7, 7, 7] * 256)
    palette.save(tmp_path / "p.png")
    Image.fromarray(np.stack([classes] * 3, -1)).save(tmp_path / "rgb.png")
    Image.fromarray(classes > 5).save(tmp_path / "bits.png")
    for name in ("m.tif", "p.png", "rgb.png"):
        assert (read_class_map(name, root=tmp_path) == classes).all()
    assert (read_class_map("bits.png", root=tmp_path) == (classes > 5)).all()


def test_a_colour_picture_is_no_class_map(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (3, 4, 3), np.uint8)).save(tmp_path / "rgb.png")
    with pytest.raises(DataError, match=r"rgb\.png: 3 layers that differ; a class map has one\. Convert its colours"):
        read_class_map("rgb.png", root=tmp_path)


# Real rasters


@pytest.mark.parametrize(
    ("folder", "sensor", "unit", "low", "high"),
    [
        ("S2L2A", "sentinel2_l2a", "reflectance", 0.02, 0.4),
        ("S2L1C", "sentinel2_l1c", "reflectance", 0.02, 0.4),
        ("S1RTC", "sentinel1_rtc", "sigma0_db", -25, -5),
        ("S2RGB", "rgb_uint8", "uint8", 10, 250),
    ],
)
def test_real_tiles_come_out_in_plausible_units(folder: str, sensor: str, unit: str, low: float, high: float, shared_dir: Path) -> None:
    for path in sorted((shared_dir / "tiles" / folder).glob("*.tif")):
        scene = read(path, sensor)
        assert (scene.unit, scene.size, scene.gsd_m) == (unit, (224, 224), pytest.approx(10))
        assert scene.bands == get_sensor(sensor).band_names
        assert low < np.nanmean(scene.pixels) < high
        assert scene.georeference is not None
        assert scene.georeference.crs.startswith("PROJ")


def test_one_real_tile_carries_the_offset_of_the_newer_baseline(shared_dir: Path) -> None:
    """In the cirrus band, dark at the top of a clear atmosphere, the offset shows: 1004 digital numbers at least, against 8 and 54."""
    path = shared_dir / "tiles" / "S2L1C" / "282D_485L_3_3.tif"
    assert np.nanmin(read(path, "sentinel2_l1c").select(("B10",)).pixels) > 0.1
    assert np.nanmin(read(path, "sentinel2_l1c_pb0400").select(("B10",)).pixels) < 0.001


def test_bytes_of_a_scene_do_not_depend_on_the_container(tmp_path: Path) -> None:
    pixels = digital(12, 5, 6)
    np.save(tmp_path / "a.npy", pixels)
    np.savez(tmp_path / "a.npz", pixels=pixels[::-1], bands=np.array(L2A[::-1]))
    tiff = read(write_tiff(tmp_path / "a.tif", pixels), "sentinel2_l2a")
    assert (read(tmp_path / "a.npy", "sentinel2_l2a").pixels == tiff.pixels).all()
    assert (read(tmp_path / "a.npz", "sentinel2_l2a").select(L2A).pixels == tiff.pixels).all()


class TestWindowOfARecord:
    """Of a large tiled file a window costs the blocks it touches."""

    SIDE, BLOCK = 2048, 256

    @pytest.fixture
    def large(self, tmp_path: Path) -> Path:
        path = tmp_path / "large.tif"
        pixels = np.random.default_rng(0).integers(0, 256, (3, self.SIDE, self.SIDE), dtype=np.uint8)
        layout = {"tiled": True, "blockxsize": self.BLOCK, "blockysize": self.BLOCK, "interleave": "pixel"}
        with rasterio.open(path, "w", driver="GTiff", width=self.SIDE, height=self.SIDE, count=3, dtype="uint8", **layout) as file:
            file.write(pixels)
        return path

    @staticmethod
    def bytes_read() -> int:
        """By this process through system calls. Source: proc(5), /proc/[pid]/io, rchar."""
        return int(Path("/proc/self/io").read_text().split()[1])

    @pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system does not count what a process reads")
    def test_only_the_blocks_it_touches_are_read(self, large: Path) -> None:
        ref = ImageRef("rgb", "rgb_uint8", (str(large),), window=(700, 1100, 200, 150))
        before = self.bytes_read()
        part = read_scene(ref).pixels
        part_bytes = self.bytes_read() - before
        whole = read_scene(dataclasses.replace(ref, window=None)).pixels
        whole_bytes = self.bytes_read() - before - part_bytes
        np.testing.assert_array_equal(part, whole[:, 700:900, 1100:1250])
        block = 3 * self.BLOCK**2
        assert whole_bytes > (self.SIDE // self.BLOCK) ** 2 * block
        assert block <= part_bytes < 3 * block, "two blocks of 64, and the header"

    def test_its_size_is_the_images(self, large: Path) -> None:
        ref = ImageRef("rgb", "rgb_uint8", (str(large),), window=(0, 0, 200, 150))
        assert image_size(ref) == (200, 150)
        assert scene_header(ref) == SceneHeader(200, 150, ("red", "green", "blue"), "uint8", "rgb")
        with pytest.raises(DataError, match=r"window .* leaves the 2048 x 2048 px"):
            image_size(dataclasses.replace(ref, window=(2000, 0, 200, 150)))
