"""Clouds by the class layer of a product: which numbers are clear, where the layer is found, what it does not know."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from scene_files import PLACE

from eocore.data.records import ImageRef
from eocore.errors import ConfigError, DataError
from eocore.scenes.clouds import CloudLayer, find_clouds
from eocore.scenes.place import Place
from eocore.sensors.scene import Georeference

GRID = Place(80, 120, Georeference(rasterio.crs.CRS.from_epsg(32632).to_wkt(), PLACE[:6]))
COARSE = PLACE @ Affine.scale(2)


def write(path: Path, numbers: np.ndarray, *, transform: Affine = COARSE, crs: str | None = "EPSG:32632") -> str:
    layers = numbers if numbers.ndim == 3 else numbers[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"height": layers.shape[1], "width": layers.shape[2], "count": len(layers), "dtype": layers.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **profile) as target:
        target.write(layers)
    return str(path)


@pytest.mark.parametrize(
    ("kind", "numbers", "clear"),
    [
        ("scl", np.arange(12, dtype=np.uint8), [2, 4, 5, 6, 7, 11]),
        ("qa_pixel", np.array([1, 2, 4, 8, 16, 32, 64, 128, 21824, 22280, 55052], np.uint16), [5, 6, 7, 8]),
    ],
)
def test_the_numbers_of_clear_pixels(tmp_path: Path, kind: str, numbers: np.ndarray, clear: list[int]) -> None:
    """21824 is clear land, 22280 high confidence of cloud, 55052 of cirrus: USGS, table of Landsat 8-9 QA_PIXEL values."""
    own = np.repeat(numbers[None], 4, axis=0)
    (layer,) = find_clouds(f"{kind}={write(tmp_path / 'a.tif', own, transform=PLACE)}", {})
    found = layer.clear(GRID.part((0, 0, 4, len(numbers))))
    assert [index for index in range(len(numbers)) if found[:, index].all()] == clear
    assert found.sum() == 4 * len(clear)


def test_coarser_pixels_are_laid_where_they_are_and_what_they_do_not_reach_is_not_clear(tmp_path: Path) -> None:
    numbers = np.full((40, 50), 4, np.uint8)
    numbers[10:20, 5:15] = 9
    layer = CloudLayer("scl", write(tmp_path / "scl.tif", numbers))
    found = layer.clear(GRID)
    expected = np.zeros((80, 120), bool)
    expected[:, :100] = True
    expected[20:40, 10:30] = False
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(layer.clear(GRID.part((15, 4, 30, 40))), expected[15:45, 4:44])
    assert not layer.clear(GRID.part((0, 110, 10, 10))).any()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("GRANULE/L2A_T32/IMG_DATA/R20m/T32_SCL_20m.jp2", "scl"), ("LC08_L2SP_QA_PIXEL.TIF", "qa_pixel")],
)
def test_the_layer_of_a_product_is_found(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    refs = {"multispectral": ImageRef("multispectral", "sentinel2_l2a", (str(tmp_path),))}
    assert find_clouds("auto", refs) == (CloudLayer(kind, str(tmp_path / name)),)  # type: ignore[arg-type]


def test_a_pair_has_a_layer_of_each_date() -> None:
    refs = {
        time: ImageRef("multispectral", "sentinel2_l2a", (f"{time}.tif",), time=time, remote=time == "after")
        for time in ("before", "after")
    }
    known = {"before": (("scl", "old/SCL.tif"),), "after": (("scl", "https://host/SCL.tif"),)}
    assert find_clouds("auto", refs, known=known) == (CloudLayer("scl", "old/SCL.tif"), CloudLayer("scl", "https://host/SCL.tif", True))
    with pytest.raises(DataError, match=r"no image \(before\.tif\) has a layer of clouds that is known"):
        find_clouds("auto", refs, known={"after": known["after"]})


def test_an_image_of_several_layers_is_refused_by_their_names() -> None:
    refs = {"multispectral": ImageRef("multispectral", "sentinel2_l2a", ("https://host/a.tif?sig=1",))}
    with pytest.raises(DataError, match=r"https://host/a\.tif has 2 layers of clouds \(a/SCL\.tif, b/SCL\.tif\).*--clouds scl=FILE"):
        find_clouds("auto", refs, known={"multispectral": (("scl", "a/SCL.tif"), ("scl", "b/SCL.tif"))})


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("mask=a.tif", r"--clouds mask=a\.tif: expected auto, scl=FILE or qa_pixel=FILE"),
        ("scl=", r"--clouds scl=: expected auto"),
    ],
)
def test_what_names_no_layer_is_refused(choice: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_clouds(choice, {"multispectral": ImageRef("multispectral", "sentinel2_l2a", ("a.tif",))})


def test_a_scene_without_a_layer_of_clouds_is_refused() -> None:
    with pytest.raises(DataError, match=r"no image \(a\.tif\) has a layer .*Leave --clouds out.* --clouds scl=FILE"):
        find_clouds("auto", {"multispectral": ImageRef("multispectral", "sentinel2_l2a", ("a.tif",))})


def test_files_that_are_no_layer_of_clouds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 layers of uint8; a layer of clouds is one of whole numbers \(scl\)"):
        CloudLayer("scl", write(tmp_path / "two.tif", np.zeros((2, 8, 8), np.uint8))).place()
    with pytest.raises(DataError, match="1 layers of float32"):
        CloudLayer("scl", write(tmp_path / "real.tif", np.zeros((8, 8), np.float32))).place()
    with pytest.raises(DataError, match="does not say where its pixels lie"):
        CloudLayer("scl", write(tmp_path / "nowhere.tif", np.zeros((8, 8), np.uint8), transform=Affine.identity(), crs=None)).place()
    with pytest.raises(DataError, match=r"holds uint8, the bits of QA_PIXEL are 16\. Name another layer, or its kind \(scl=FILE\)"):
        CloudLayer("qa_pixel", write(tmp_path / "bytes.tif", np.zeros((8, 8), np.uint8))).place()
    bits = np.full((40, 60), 21824, np.uint16)
    with pytest.raises(DataError, match=r"holds numbers up to 21824, the classes of SCL are 0 to 11\. Name another layer"):
        CloudLayer("scl", write(tmp_path / "bits.tif", bits)).clear(GRID)


def test_a_layer_of_another_place_is_refused(tmp_path: Path) -> None:
    layer = CloudLayer("scl", write(tmp_path / "a.tif", np.full((40, 60), 4, np.uint8)))
    layer.check_reaches(GRID)
    far = CloudLayer("scl", write(tmp_path / "b.tif", np.full((40, 60), 4, np.uint8), transform=Affine.translation(50_000, 0) @ COARSE))
    with pytest.raises(DataError, match=r"b\.tif: the layer of clouds shows nothing of the scene, so no pixel would be clear"):
        far.check_reaches(GRID)
