"""Pictures that lie where a file beside them says: compared, turned, and their masks placed."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from PIL import Image

from eocore.data.io.readers import read_class_map, read_scene
from eocore.data.io.scene_sets import read_scenes
from eocore.data.io.side_files import grid_beside
from eocore.data.records import ImageRef
from eocore.errors import DataError

PIXELS = np.arange(1, 25, dtype=np.uint8).reshape(4, 6) * 10
NORTH_UP = rasterio.Affine(10, 0, 500_000, 0, -10, 5_600_000)


def write(path: Path, transform: rasterio.Affine, *, pixels: np.ndarray = PIXELS) -> ImageRef:
    """A picture as GDAL writes it, with its notes beside."""
    height, width = pixels.shape
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="GTiff", count=1, height=height, width=width, dtype="uint8", crs="EPSG:32632", transform=transform) as file:
            file.write(pixels[None])
        with memory.open() as source:
            rasterio.shutil.copy(source, path, driver="PNG" if path.suffix == ".png" else "JPEG")
    return ImageRef(path.stem, "grey_uint8", (str(path),))


def test_north_is_up_by_the_notes_of_gdal(tmp_path: Path) -> None:
    ref = write(tmp_path / "a.png", NORTH_UP @ rasterio.Affine.translation(0, 4) @ rasterio.Affine.scale(1, -1), pixels=PIXELS[::-1])
    scene = read_scene(ref)
    assert (scene.pixels[0] == PIXELS).all() and scene.turn.reverse_rows and (read_class_map(ref.paths[0]) == PIXELS).all()
    assert scene.georeference is not None and scene.georeference.transform == pytest.approx(NORTH_UP[:6]) and scene.gsd_m == 10


def test_two_places_are_no_pair(tmp_path: Path) -> None:
    here, there = write(tmp_path / "a.png", NORTH_UP), write(tmp_path / "b.jpg", NORTH_UP @ rasterio.Affine.translation(50, 0))
    with pytest.raises(DataError, match="do not cover the same ground"):
        read_scenes((here, there), root_of=lambda _: None, source="x:1")


def test_a_world_file_counts_from_the_middle_of_a_pixel_and_names_no_crs(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text("10\n0\n0\n-10\n500005\n5599995\n")
    grid = grid_beside(tmp_path / "a.png")
    assert grid is not None and grid.crs == "" and grid.transform == NORTH_UP
    Image.fromarray(PIXELS).save(tmp_path / "b.jpg")
    (tmp_path / "b.jgw").write_text("10 0 0 10 500005 5599995")
    assert not read_scene(ImageRef("rgb", "grey_uint8", (str(tmp_path / "b.jpg"),))).turn, "nothing says where north is"


def test_notes_without_a_transform_say_nothing(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "a.png.aux.xml").write_text("<PAMDataset><PAMRasterBand band='1'/></PAMDataset>")
    assert grid_beside(tmp_path / "a.png") is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.pgw", "10 0 0 -10 5"),
        ("a.pgw", "10 0 0 nan 5 5"),
        ("a.wld", "west"),
        ("a.png.aux.xml", "<PAMDataset>"),
        ("a.png.aux.xml", "<PAMDataset><GeoTransform>1, 2</GeoTransform></PAMDataset>"),
        ("a.png.aux.xml", "<PAMDataset><SRS>nowhere</SRS><GeoTransform>0, 1, 0, 0, 0, -1</GeoTransform></PAMDataset>"),
        ("a.png.aux.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><PAMDataset>&b;</PAMDataset>"),
    ],
)
def test_broken_files_beside_a_picture_are_named(name: str, text: str, tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=rf"{name}: says where the picture beside it lies, and cannot be read"):
        read_scene(ImageRef("rgb", "grey_uint8", (str(tmp_path / "a.png"),)))


def test_a_grid_without_area_is_refused(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text("0 0 0 0 5 5")
    with pytest.raises(DataError, match="puts all pixels on one line or nowhere"):
        read_scene(ImageRef("rgb", "grey_uint8", (str(tmp_path / "a.png"),)))
