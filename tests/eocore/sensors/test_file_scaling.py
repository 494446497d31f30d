"""Tags of scale and offset are applied once, layer by layer, or refused where they contradict the sensor."""

import numpy as np
import pytest

from eocore.errors import DataError
from eocore.sensors.bands import get_sensor
from eocore.sensors.file_scaling import agreed_scaling
from eocore.sensors.scaling import to_canonical

SENTINEL2, NEWER = (0.0001, 0.0), (0.0001, -0.1)
LANDSAT = (0.0000275, -0.2)


@pytest.mark.parametrize(
    ("tags", "sensor", "applied"),
    [
        ([(1.0, 0.0)] * 3, "sentinel2_l2a", None),
        ([], "rgb_uint8", None),
        ([SENTINEL2] * 3, "sentinel2_l2a", None),
        ([NEWER] * 3, "sentinel2_l2a_pb0400", None),
        ([LANDSAT] * 7, "landsat8_l2", None),
        ([(2.75e-05, -0.2)], "landsat9_l2", None),
        ([(2e-5, -0.1)], "landsat8_l1", None),
        ([(0.00341802, 149.0)], "landsat9_l2_thermal", None),
        ([NEWER] * 3, "sentinel2_l2a", (NEWER,) * 3),
        ([SENTINEL2, NEWER], "sentinel2_l1c", (SENTINEL2, NEWER)),
        ([SENTINEL2] * 2, "sentinel2_l2a_pb0400", (SENTINEL2,) * 2),
        ([(0.01, 0.0)] * 2, "sentinel1_grd", ((0.01, 0.0),) * 2),
        ([(5e-5, 0.0), (1.0, 0.0)], "sentinel2_l2a_reflectance", ((5e-5, 0.0), (1.0, 0.0))),
    ],
)
def test_tags_that_agree(tags: list[tuple[float, float]], sensor: str, applied: tuple[tuple[float, float], ...] | None) -> None:
    assert agreed_scaling(tags, get_sensor(sensor), source="f.tif") == applied


@pytest.mark.parametrize(
    ("tags", "sensor", "message"),
    [
        ([LANDSAT] * 12, "sentinel2_l2a", r"\(2\.75e-05, -0\.2\), but sentinel2_l2a has \(0\.0001, 0\).*of landsat8_l2, landsat9_l2: name"),
        ([SENTINEL2], "landsat8_l2", r"of sentinel2_l1c, sentinel2_l2a.*: name that sensor"),
        ([(0.0002, 0.0)] * 12, "sentinel2_l2a", r"If the tags are right, name sentinel2_l2a_reflectance, to which they are applied"),
        ([NEWER, (1.0, 0.0)], "sentinel2_l2a", r"\(0\.0001, -0\.1\) / \(1, 0\), but"),
        ([(0.0001, 0.05)], "sentinel2_l2a", "one of them is wrong"),
        ([(2.0, 0.0)] * 3, "rgb_uint8", "pictures made for display, which have none"),
        ([(0.0, 0.0)], "sentinel1_grd", "no usable numbers"),
        ([(float("nan"), 0.0)], "sentinel2_l2a", "no usable numbers"),
        ([(1e300, 0.0)], "sentinel1_grd", "no usable numbers"),
        ([(-0.0001, 0.0)], "sentinel2_l2a", "one of them is wrong"),
        ([(-1e-20, 0.0)], "sentinel1_grd", "no usable numbers"),
        ([(0.0001, float("inf"))], "sentinel2_l2a", "no usable numbers"),
    ],
)
def test_tags_that_contradict_the_sensor(tags: list[tuple[float, float]], sensor: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        agreed_scaling(tags, get_sensor(sensor), source="f.tif")


def test_unusual_tags_that_say_one_thing_are_applied() -> None:
    """Backscatter stored as positive hundredths; brightness of a picture from 0 to 1."""
    assert agreed_scaling([(-0.01, 0.0)] * 2, get_sensor("sentinel1_grd"), source="f.tif") == ((-0.01, 0.0),) * 2
    hundredths = np.random.default_rng(0).integers(800, 2200, (2, 8, 8)).astype(np.uint16)
    pixels = to_canonical(hundredths, get_sensor("sentinel1_grd"), source="f.tif", scaling=[(-0.01, 0.0)] * 2)
    np.testing.assert_allclose(pixels, hundredths * -0.01, rtol=1e-6)
    assert agreed_scaling([(0.00392157, 0.0)] * 3, get_sensor("rgb_uint8"), source="f.tif") is None
