"""What is lost where a model reads a scene smaller is told in metres, where these are known."""

import numpy as np
import pytest

from eocore.predict.view_loss import describe_loss
from eocore.sensors.scene import Scene


def scene(side: int, gsd_m: float = 10.0) -> Scene:
    return Scene(np.zeros((2, side, side), np.float32), ("VV", "VH"), "sentinel1_grd", "sigma0_db", gsd_m, role="sar")


def test_a_large_scene_loses_what_is_smaller_than_a_pixel_of_the_model() -> None:
    told = describe_loss(scene(4480), (448, 448))
    assert "4480 x 4480 px, read at 448 x 448 px" in told and "covers 100 m instead of the file's 10 m" in told
    assert "sentinel1_grd measures 10 m" in told and "smaller than about 200 m" in told and "--window" in told


@pytest.mark.parametrize(("side", "told"), [(448, False), (895, False), (896, True)])
def test_it_is_said_from_two_pixels_in_one_on(side: int, told: bool) -> None:
    assert bool(describe_loss(scene(side), (448, 448))) == told


def test_a_scene_of_unknown_pixels_is_told_in_pixels() -> None:
    told = describe_loss(scene(1344, float("nan")), (448, 896))
    assert "3.0 of its pixels along an edge become one" in told and " m " not in told
