"""Image files of a question: the sensor that is told of each, and the place of several."""

from pathlib import Path

import numpy as np
import pytest
from image_making import numbers, write_tif

from eocore.errors import BandError, ConfigError, DataError
from eocore.predict.image_files import ImageFile, read_images, tell_sensor


@pytest.mark.parametrize(
    ("name", "count", "dtype", "sensor"),
    [
        ("optical", 12, "uint16", "sentinel2_l2a"),
        ("optical", 13, "uint16", "sentinel2_l1c"),
        ("optical", 3, "uint8", "rgb_uint8"),
        ("sar", 2, "float32", "sentinel1_grd"),
        ("sar", 1, "uint8", "grey_uint8"),
    ],
)
def test_sensor_is_told_from_a_file(tmp_path: Path, name: str, count: int, dtype: str, sensor: str) -> None:
    assert tell_sensor(name, [write_tif(tmp_path / "image.tif", numbers(count, dtype))]) == sensor


@pytest.mark.parametrize(("name", "count", "dtype"), [("optical", 4, "uint16"), ("optical", 12, "float32"), ("sar", 3, "float32")])
def test_sensor_is_not_guessed(tmp_path: Path, name: str, count: int, dtype: str) -> None:
    path = write_tif(tmp_path / "image.tif", numbers(count, dtype))
    with pytest.raises(BandError, match=f"{count} layers of {dtype} do not tell the sensor.*--sensor {name}=NAME"):
        tell_sensor(name, [path])


def test_a_list_of_images_is_told_from_the_bands_of_one(tmp_path: Path) -> None:
    pictures = [write_tif(tmp_path / f"{name}.tif", numbers(3, "uint8")) for name in ("a", "b")]
    with pytest.raises(BandError, match=r"6 layers of uint8 .* 2 files are taken for the bands of one image; ask about each image by a"):
        tell_sensor("rgb", pictures)


def test_optical_becomes_the_modality_of_its_sensor(tmp_path: Path) -> None:
    bands = write_tif(tmp_path / "bands.tif", numbers(12, "uint16"))
    picture = write_tif(tmp_path / "picture.tif", numbers(3, "uint8"))
    assert list(read_images({"optical": ImageFile((bands,))})) == ["multispectral"]
    assert list(read_images({"optical": ImageFile((picture,))})) == ["rgb"]
    newer = read_images({"optical": ImageFile((bands,), sensor="sentinel2_l2a_pb0400")})["multispectral"]
    plain = read_images({"optical": ImageFile((bands,))})["multispectral"]
    np.testing.assert_allclose(plain.pixels - newer.pixels, 0.1, atol=1e-6)
    with pytest.raises(ConfigError, match="--rgb is a rgb image, and another one is given"):
        read_images({"optical": ImageFile((picture,)), "rgb": ImageFile((picture,))})


def test_images_of_two_places_are_refused(tmp_path: Path) -> None:
    here = ImageFile((write_tif(tmp_path / "here.tif", numbers(12, "uint16")),))
    there = ImageFile((write_tif(tmp_path / "there.tif", numbers(2, "float32"), corner=(500_400.0, 6_000_000.0)),))
    with pytest.raises(DataError, match=r"here.tif and .*there.tif do not cover the same ground.*40.0 pixels"):
        read_images({"optical": here, "sar": there})


def test_the_sensor_that_is_told_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tif(tmp_path / "image.tif", numbers(12, "uint16"))
    read_images({"optical": ImageFile((path,))})
    assert f"{path}: taken for sensor sentinel2_l2a; --sensor optical=NAME names another" in capsys.readouterr().err
    read_images({"optical": ImageFile((path,), "sentinel2_l2a")})
    assert "taken for" not in capsys.readouterr().err
