import io
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine, from_origin

from eocore.data.records import ImageRef
from eocore.errors import ConfigError, DataError
from eocore.serve.views import raster
from eocore.serve.views.raster import RasterImage, TileAddress, bands_of_ref, encode_tile, reduce_mean, strip_rows

NORTH_UP = from_origin(500_000, 5_400_000, 10, 10)


def write_bands(path: Path, layers: np.ndarray, *, transform: Affine = NORTH_UP) -> Path:
    profile = {"driver": "GTiff", "count": len(layers), "height": layers.shape[1], "width": layers.shape[2], "dtype": layers.dtype.name}
    with rasterio.open(path, "w", crs="EPSG:32632", transform=transform, **profile) as target:
        target.write(layers)
    return path


def ramp(height: int, width: int) -> np.ndarray:
    """(12, H, W) digital numbers that grow to the right; band B04 to the south as well."""
    layers = np.broadcast_to(np.linspace(500, 5000, width), (12, height, width)).astype(np.uint16).copy()
    layers[3] += np.linspace(0, 3000, height).astype(np.uint16)[:, None]
    return layers


def open_raster(path: Path) -> RasterImage:
    return RasterImage(ImageRef("multispectral", "sentinel2_l2a", (str(path),)))


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_tiles_of_every_level_show_the_same_place(tmp_path: Path) -> None:
    image = open_raster(write_bands(tmp_path / "a.tif", ramp(600, 700)))
    assert (image.top_level, image.overview_level) == (2, 0)
    whole = pixels_of(image.tile("true_colour", "percent_2", address=TileAddress(2, 0, 0)))
    assert whole.shape == (256, 256, 4)
    assert (whole[:150, :175, 3] == 255).all() and (whole[151:, :, 3] == 0).all() and (whole[:, 176:, 3] == 0).all()
    part = pixels_of(image.tile("true_colour", "percent_2", address=TileAddress(0, 1, 1)))  # columns and rows 256 to 511
    near = part.reshape(64, 4, 64, 4, 4).mean((1, 3))
    assert np.abs(near - whole[64:128, 64:128]).max() <= 1.0  # means of means, each rounded


def test_far_tiles_come_from_the_overview_and_near_ones_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_bands(tmp_path / "a.tif", ramp(600, 700))
    direct = open_raster(path)
    monkeypatch.setattr(raster, "OVERVIEW_PX", 200)
    monkeypatch.setattr(raster, "STRIP_PIXELS", 10_000)
    reduced = open_raster(path)
    assert reduced.overview_level == 2
    for level in (0, 1, 2):
        address = TileAddress(level, 0, 0)
        first = pixels_of(direct.tile("true_colour", "fixed", address=address))
        assert np.abs(first.astype(int) - pixels_of(reduced.tile("true_colour", "fixed", address=address))).max() <= 1


def test_no_data_is_clear(tmp_path: Path) -> None:
    layers = ramp(100, 100)
    layers[:, :, :40] = 0  # no data of Sentinel-2
    image = open_raster(write_bands(tmp_path / "a.tif", layers))
    alpha = pixels_of(image.tile("true_colour", "percent_2", address=TileAddress(0, 0, 0)))[..., 3]
    assert (alpha[:100, :40] == 0).all() and (alpha[:100, 40:100] == 255).all()


def test_a_part_without_any_data_is_a_clear_tile(tmp_path: Path) -> None:
    layers = ramp(300, 600)
    layers[:, :, 256:512] = 0
    image = open_raster(write_bands(tmp_path / "a.tif", layers))
    assert not pixels_of(image.tile("true_colour", "percent_2", address=TileAddress(0, 1, 0)))[..., 3].any()


def test_a_file_with_south_up_is_shown_with_north_up(tmp_path: Path) -> None:
    layers = ramp(90, 80)
    upright = open_raster(write_bands(tmp_path / "a.tif", layers))
    flipped = Affine(10, 0, 500_000, 0, 10, 5_400_000 - 900)
    turned = open_raster(write_bands(tmp_path / "b.tif", layers[:, ::-1], transform=flipped))
    address = TileAddress(0, 0, 0)
    assert turned.tile("true_colour", "percent_2", address=address) == upright.tile("true_colour", "percent_2", address=address)


def test_dark_parts_of_pictures_are_shown_too(tmp_path: Path) -> None:
    pixels = np.zeros((512, 512, 3), np.uint8)
    pixels[::2, ::2] = 1  # means of such parts are fractions below 1
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = RasterImage(ImageRef("rgb", "rgb_uint8", (str(tmp_path / "a.png"),)))
    assert pixels_of(image.tile("as_is", "percent_2", address=TileAddress(1, 0, 0)))[..., 3].all()
    assert pixels_of(image.tile("band:red", "percent_2", address=TileAddress(0, 0, 0)))[0, 0].tolist() == [1, 1, 1, 255]


def test_a_thumbnail_shows_all_of_it(tmp_path: Path) -> None:
    image = open_raster(write_bands(tmp_path / "a.tif", ramp(600, 700)))
    small = pixels_of(image.thumbnail("ndvi", "percent_2", side=100))
    assert max(small.shape[:2]) <= 100 and small[..., 3].all()


@pytest.mark.parametrize("address", [TileAddress(0, 3, 0), TileAddress(0, 0, -1), TileAddress(3, 0, 0), TileAddress(-1, 0, 0)])
def test_addresses_outside_are_refused(tmp_path: Path, address: TileAddress) -> None:
    image = open_raster(write_bands(tmp_path / "a.tif", ramp(600, 700)))
    with pytest.raises(ConfigError, match=r"lies outside of the image \(600 x 700 px\)"):
        image.tile("true_colour", "percent_2", address=address)


def test_tiles_are_kept_and_the_oldest_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raster, "CACHED_TILES", 2)
    path = write_bands(tmp_path / "a.tif", ramp(600, 700))
    image = open_raster(path)
    kept = image.tile("true_colour", "fixed", address=TileAddress(0, 0, 0))
    image.tile("true_colour", "fixed", address=TileAddress(0, 1, 0))
    path.unlink()
    assert image.tile("true_colour", "fixed", address=TileAddress(0, 0, 0)) == kept
    with pytest.raises(DataError, match="no such file"):
        image.tile("true_colour", "fixed", address=TileAddress(0, 0, 1))


def test_only_the_wanted_bands_are_read(tmp_path: Path) -> None:
    one = ImageRef("multispectral", "sentinel2_l2a", ("a.tif",))
    assert bands_of_ref(one, ("B02", "B03", "B04"), wanted=["B04"]).bands == ("-", "-", "B04")
    several = ImageRef("multispectral", "sentinel2_l2a", ("b2.tif", "b3.tif"))
    assert bands_of_ref(several, ("B02", "B03"), wanted=["B03"]).paths == ("b3.tif",)
    product = ImageRef("multispectral", "sentinel2_l2a", (str(tmp_path),))
    assert bands_of_ref(product, ("B02", "B03"), wanted=["B03"]).bands == ("B03",)
    marked = ImageRef("multispectral", "sentinel2_l2a", ("a.tif",), bands=("B02", "-", "B04"))
    assert bands_of_ref(marked, ("B02", "B04"), wanted=["B04"]) == marked


def test_means_do_not_see_what_is_missing() -> None:
    pixels = np.array([[[1.0, np.nan, 5.0], [3.0, 2.0, np.nan], [np.nan, np.nan, np.nan]]], np.float32)
    assert np.allclose(reduce_mean(pixels, 2), [[[2.0, 5.0], [np.nan, np.nan]]], equal_nan=True)


def test_a_tile_has_one_size() -> None:
    with pytest.raises(DataError, match=r"a tile is 256 x 256 px, found \(3, 10, 10\)"):
        encode_tile(np.zeros((3, 10, 10), np.uint8), np.ones((10, 10), bool))


@pytest.mark.parametrize(
    ("width", "factor", "rows"), [(3 * 10_980, 8, 512), (10_980, 8, 1536), (100_000, 8, 200), (30_000_000, 8, 8), (64, 1024, 312_320)]
)
def test_strips_hold_whole_blocks_where_they_fit(width: int, factor: int, rows: int) -> None:
    assert strip_rows(width, factor=factor) == rows
