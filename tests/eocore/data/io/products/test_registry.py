"""Which folder is which product, and where folders are accepted."""

import shutil
from pathlib import Path

import pytest

from eocore.data.image_sources import ImageSource
from eocore.data.io.image_listing import list_images
from eocore.data.io.products.registry import find_product
from eocore.data.io.readers import read_scene
from eocore.data.records import ImageRef
from eocore.errors import BandError, ConfigError, DataError
from eocore.predict.image_files import ImageFile, read_images
from eocore.synthetic.product_folders import MadeLandsat, MadeSentinel1, MadeSentinel2, write_landsat, write_sentinel1, write_sentinel2

SMALL = MadeSentinel2(side_m=60)


def test_the_sensor_of_each_product_is_told(tmp_path: Path) -> None:
    folders = [
        (write_sentinel2(tmp_path, SMALL), "sentinel2_l2a"),
        (write_sentinel2(tmp_path, MadeSentinel2("1C", "02.09", side_m=60)), "sentinel2_l1c"),
        (write_sentinel1(tmp_path, MadeSentinel1()), "sentinel1_grd"),
        (write_landsat(tmp_path, MadeLandsat(1, 8, side=4)), "landsat8_l1"),
    ]
    assert [find_product(folder).sensor for folder, _ in folders] == [sensor for _, sensor in folders]


def test_names_that_no_file_can_have_are_missing_files(tmp_path: Path) -> None:
    """Damaged metadata list them; the system refuses to look for them."""
    long = "9" * 300
    sentinel1, landsat = write_sentinel1(tmp_path, MadeSentinel1()), write_landsat(tmp_path, MadeLandsat(2, 9, side=4, as_text=True))
    changes = [(sentinel1 / "manifest.safe", "calibration-s1a"), (next(landsat.glob("*_MTL.txt")), "_SR_B4.TIF")]
    changes.append((write_sentinel2(tmp_path, SMALL) / "manifest.safe", "_B02_10m.jp2"))
    for path, piece in changes:
        text = path.read_text()
        assert piece in text
        path.write_text(text.replace(piece, long + piece))
        with pytest.raises(DataError, match=r"the product lacks .*9{50}"):
            read_scene(ImageRef("x", find_product(path.parent).sensor, (str(path.parent),)))


def test_renamed_folders_are_known_by_what_they_hold(tmp_path: Path) -> None:
    made = [
        write_sentinel2(tmp_path, SMALL),
        write_sentinel1(tmp_path, MadeSentinel1()),
        write_landsat(tmp_path, MadeLandsat(1, 8, side=4)),
    ]
    for number, (folder, metadata) in enumerate(zip(made, ("MTD_MSIL2A.xml", "annotation/*-vv-*.xml", "*_MTL.*"), strict=True)):
        renamed = folder.rename(tmp_path / f"scene_{number}")
        sensor = find_product(renamed).sensor
        assert read_scene(ImageRef("x", sensor, (str(renamed),))).sensor == sensor
        for path in renamed.glob(metadata):
            path.unlink()
        with pytest.raises(DataError, match=r"lacks .*(MTD_MSIL2A\.xml|-vv-.*\.xml|_MTL\.json)|MTD_MSIL2A\.xml: the product lacks"):
            read_scene(ImageRef("x", sensor, (str(renamed),)))


def test_a_folder_of_chips_of_several_landsat_products_is_none(tmp_path: Path) -> None:
    names = [f"chips/LC09_L2SP_193026_{day}_20210412_02_T1_chip.tif" for day in ("20210310", "20210326")]
    (tmp_path / "chips").mkdir()
    for name in names:
        (tmp_path / name).touch()
    assert list_images(tmp_path) == names
    with pytest.raises(DataError, match=r"a folder, expected an image file or the folder of a product"):
        find_product(tmp_path / "chips")


def test_prediction_takes_a_folder_and_tells_its_sensor(tmp_path: Path) -> None:
    folder = write_sentinel2(tmp_path, SMALL)
    scenes = read_images({"optical": ImageFile((str(folder),), bands=("B04", "B03"), window=(0, 1, 2, 3))})
    assert (scenes["multispectral"].bands, scenes["multispectral"].size) == (("B04", "B03"), (2, 3))


def test_data_sets_take_folders_by_pattern(tmp_path: Path) -> None:
    folder = write_sentinel2(tmp_path / "data", SMALL)
    source = ImageSource(str(tmp_path / "data"), "sentinel2_l2a", "{stem}.SAFE", bands=("B02",), gsd_m=20.0)
    ref = source.locate(folder.name.removesuffix(".SAFE"), "x.json#0", role="multispectral")
    assert ref is not None
    scene = read_scene(ref, root=tmp_path / "data")
    assert (scene.bands, scene.size) == (("B02",), (3, 3))
    with pytest.raises(ConfigError, match="gsd_m must be a positive number of metres, found -1"):
        ImageSource(str(tmp_path), "sentinel2_l2a", gsd_m=-1)


def test_folders_that_are_no_product_are_refused(tmp_path: Path) -> None:
    folder = write_sentinel2(tmp_path / "outer", SMALL)
    with pytest.raises(DataError, match=rf"a folder, expected an image file .* It holds {folder.name}: name that folder"):
        find_product(tmp_path / "outer")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"Sentinel-2 SAFE, Sentinel-1 GRD SAFE, Landsat Collection 2.* Name an image file"):
        find_product(tmp_path / "empty")


def test_a_folder_stands_alone_and_files_have_their_own_pixels(tmp_path: Path) -> None:
    folder = write_sentinel2(tmp_path, SMALL)
    image = next(folder.rglob("*_B02_10m.jp2"))
    with pytest.raises(DataError, match="a folder among 2 paths"):
        read_scene(ImageRef("x", "sentinel2_l2a", (str(folder), str(image))))
    with pytest.raises(DataError, match="gsd_m and noise_removal are for the folders of products"):
        read_scene(ImageRef("x", "sentinel2_l2a", (str(image),), bands=("B02",), gsd_m=20.0))


def test_single_bands_are_read_as_files_too(tmp_path: Path) -> None:
    folder = write_sentinel2(tmp_path, SMALL)
    paths = tuple(str(next(folder.rglob(f"*_{name}_10m.jp2"))) for name in ("B04", "B02"))
    assert read_scene(ImageRef("x", "sentinel2_l2a_pb0400", paths)).bands == ("B04", "B02")
    with pytest.raises(BandError):
        read_scene(ImageRef("x", "sentinel2_l2a", (str(folder),), bands=("B04", "-")))


def test_a_folder_inside_one_of_the_same_name_is_named(tmp_path: Path) -> None:
    folder = write_sentinel2(tmp_path / "a", SMALL)
    outer = tmp_path / folder.name
    shutil.move(folder, outer / folder.name)
    with pytest.raises(DataError, match=rf"It holds {folder.name}: name that folder"):
        find_product(outer)


def test_an_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    folder = write_sentinel2(tmp_path, SMALL)
    path = shutil.make_archive(str(folder), "zip", tmp_path, folder.name)
    with pytest.raises(DataError, match=r"SAFE\.zip: an archive; .*Unpack it"):
        read_scene(ImageRef("x", "sentinel2_l2a", (path,)))
