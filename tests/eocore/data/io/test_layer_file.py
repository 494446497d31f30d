"""Layers that are left out, whatever the format."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from eocore.data.io.readers import read_scene, scene_header
from eocore.data.records import ImageRef
from eocore.errors import BandError

L2A = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B11", "B12")


def write_tif(path: Path, layers: np.ndarray, *, names: tuple[str, ...] = ()) -> str:
    shape = {"count": layers.shape[0], "height": layers.shape[1], "width": layers.shape[2], "dtype": layers.dtype.name}
    with rasterio.open(path, "w", driver="GTiff", **shape, crs="EPSG:32632", transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)) as file:
        file.write(layers)
        if names:
            file.descriptions = names
    return str(path)


@pytest.mark.parametrize("other", ["SCL", "QA60", "dataMask"])
def test_a_layer_of_another_kind_is_left_out(tmp_path: Path, other: str) -> None:
    layers = np.stack([np.full((6, 5), 1000 + 100 * number, np.uint16) for number in range(13)])
    path = write_tif(tmp_path / "a.tif", layers, names=(*L2A, other))
    ref = ImageRef("multispectral", "sentinel2_l2a", (path,), bands=(*L2A, "-"))
    scene = read_scene(ref)
    np.testing.assert_allclose(scene.pixels[:, 0, 0], 0.1 + 0.01 * np.arange(12), atol=1e-6)
    assert scene_header(ref).bands == scene.bands and len(scene.bands) == 12


def test_layers_of_arrays_and_of_several_files_are_left_out(tmp_path: Path) -> None:
    pixels = np.stack([np.full((4, 4), -10.0 - number, np.float32) for number in range(3)])
    np.save(tmp_path / "a.npy", pixels)
    scene = read_scene(ImageRef("sar", "sentinel1_grd", (str(tmp_path / "a.npy"),), bands=("VH", "-", "VV")))
    assert scene.bands == ("VH", "VV")
    assert scene.pixels[:, 0, 0].tolist() == [-10, -12]
    paths = tuple(write_tif(tmp_path / f"{number}.tif", pixels[number : number + 1]) for number in range(3))
    scene = read_scene(ImageRef("sar", "sentinel1_grd", paths, bands=("-", "VV", "VH")))
    assert scene.bands == ("VV", "VH")
    assert scene.pixels[:, 0, 0].tolist() == [-11, -12]


def test_a_colour_of_a_picture_is_left_out(tmp_path: Path) -> None:
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(tmp_path / "a.png")
    scene = read_scene(ImageRef("rgb", "rgb_uint8", (str(tmp_path / "a.png"),), bands=("red", "-", "blue")))
    assert scene.bands == ("red", "blue")
    assert scene.pixels[:, 0, 0].tolist() == [0, 2]


@pytest.mark.parametrize("bands", [("VV", "-"), ("-", "-", "-"), ("VV", "VH", "-", "-")])
def test_every_layer_needs_a_name_or_a_dash_and_one_a_name(tmp_path: Path, bands: tuple[str, ...]) -> None:
    path = write_tif(tmp_path / "a.tif", np.full((3, 4, 4), -10, np.float32))
    with pytest.raises(BandError, match=r"3 layers, but `bands` gives \d .*or '-' to leave it out, and at least one a name"):
        read_scene(ImageRef("sar", "sentinel1_grd", (path,), bands=bands))
