"""Sensors told from headers and numbers, and the cases in which two are left."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from eocore.errors import ConfigError, DataError
from eocore.onboarding.choices import DatasetChoices, Findings
from eocore.onboarding.images import read_image
from eocore.onboarding.sensors import SensorChoice, choose_sensor

NOISE = np.random.default_rng(0).normal(0, 1, (13, 16, 16))


def write(path: Path, pixels: np.ndarray, names: tuple[str, ...] = ()) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    with rasterio.open(path, "w", driver="GTiff", count=count, height=height, width=width, dtype=pixels.dtype.name) as file:
        file.write(pixels)
        if names:
            file.descriptions = names


def choose(path: Path, findings: Findings | None = None, **choices: Any) -> SensorChoice:
    images = [read_image(path.parent, path.name)]
    return choose_sensor("chips", images, root=path.parent, choices=DatasetChoices(**choices), findings=findings or Findings())


def optical(layers: int, dark: float) -> np.ndarray:
    return (np.where(NOISE[:layers] > 1, dark, 2500) + 20 * NOISE[:layers]).astype(np.uint16)


def test_dark_ground_tells_that_there_is_no_offset(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", optical(12, 200))
    assert choose(tmp_path / "a.tif") == SensorChoice("sentinel2_l2a", "multispectral")
    write(tmp_path / "c.tif", optical(13, 200))
    assert choose(tmp_path / "c.tif").sensor == "sentinel2_l1c"


def test_bright_ground_alone_does_not_tell(tmp_path: Path) -> None:
    write(tmp_path / "b.tif", optical(12, 1500))
    with pytest.raises(
        ConfigError, match=r"may be read in several ways \(sentinel2_l2a, sentinel2_l2a_pb0400\).*--sensor chips=sentinel2_l2a"
    ):
        choose(tmp_path / "b.tif")
    said = choose(tmp_path / "b.tif", sensors={"chips": "sentinel2_l2a_pb0400"})
    assert said == SensorChoice("sentinel2_l2a_pb0400", "multispectral")


def test_numbers_tell_decibels_from_power_and_reflectance_from_digital_numbers(tmp_path: Path) -> None:
    db = np.stack([-8 + NOISE[0], -15 + NOISE[1]]).astype(np.float32)
    write(tmp_path / "db.tif", db)
    write(tmp_path / "power.tif", 10 ** (db / 10))
    write(tmp_path / "reflectance.tif", (optical(12, 200) / 10_000).astype(np.float32))
    findings = Findings()
    assert choose(tmp_path / "db.tif", findings).sensor == "sentinel1_grd"
    assert any("is read as sentinel1_rtc would be" in line for line in findings.unsure)
    assert choose(tmp_path / "power.tif").sensor == "sentinel1_grd_linear"
    assert choose(tmp_path / "reflectance.tif").sensor == "sentinel2_l2a_reflectance"


def test_words_of_the_path_choose_among_what_is_read_alike(tmp_path: Path) -> None:
    write(tmp_path / "S1RTC_x.tif", np.stack([-8 + NOISE[0], -15 + NOISE[1]]).astype(np.float32))
    assert choose(tmp_path / "S1RTC_x.tif").sensor == "sentinel1_rtc"


def test_layers_without_names_in_another_order_are_refused(tmp_path: Path) -> None:
    db = np.stack([-15 + NOISE[0], -8 + NOISE[1]]).astype(np.float32)
    write(tmp_path / "turned.tif", db)
    with pytest.raises(ConfigError, match=r"the first \(-1.* dB\) is not stronger than the second"):
        choose(tmp_path / "turned.tif")
    write(tmp_path / "named.tif", db, ("VH", "VV"))
    assert choose(tmp_path / "named.tif").role == "sar"


@pytest.mark.parametrize("layers", [1, 4, 7])
def test_other_counts_without_names_tell_nothing(tmp_path: Path, layers: int) -> None:
    write(tmp_path / "x.tif", optical(layers, 200))
    with pytest.raises(
        ConfigError, match=rf"{layers} layers of uint16 without names tell no sensor.*--sensor chips=NAME.*--leave-out chips"
    ):
        choose(tmp_path / "x.tif")


def test_named_bands_and_bands_of_the_user(tmp_path: Path) -> None:
    write(tmp_path / "named.tif", optical(4, 200), ("B02", "B03", "B04", "B08"))
    assert choose(tmp_path / "named.tif").sensor == "sentinel2_l2a"
    write(tmp_path / "plain.tif", optical(4, 200))
    said = choose(tmp_path / "plain.tif", sensors={"chips": "sentinel2_l2a"}, bands={"chips": ("B02", "B03", "B04", "B08")})
    assert said == SensorChoice("sentinel2_l2a", "multispectral", ("B02", "B03", "B04", "B08"))
    with pytest.raises(DataError, match=r"4 unnamed layers, but sentinel2_l2a has 12 bands"):
        choose(tmp_path / "plain.tif", sensors={"chips": "sentinel2_l2a"})


def test_a_grey_picture_may_be_radar_or_not(tmp_path: Path) -> None:
    write(tmp_path / "grey.tif", (NOISE[:1] * 20 + 120).astype(np.uint8))
    with pytest.raises(ConfigError, match=r"may be radar or one optical band.*--role chips=sar"):
        choose(tmp_path / "grey.tif")
    assert choose(tmp_path / "grey.tif", roles={"chips": "sar"}) == SensorChoice("grey_uint8", "sar")
    images = [read_image(tmp_path, "grey.tif")]
    assert choose_sensor("sar", images, root=tmp_path, choices=DatasetChoices(), findings=Findings()).role == "sar"
