import numpy as np
import pytest

from eocore.errors import ConfigError
from eocore.serve.views.stretches import STRETCHES, stretch_limits

VALUES = np.linspace(0.0, 1.0, 101).reshape(1, 101)


@pytest.mark.parametrize(("stretch", "limits"), [("percent_2", (0.02, 0.98)), ("percent_05", (0.005, 0.995)), ("min_max", (0.0, 1.0))])
def test_limits_are_percentiles_of_what_is_known(stretch: str, limits: tuple[float, float]) -> None:
    values = np.concatenate([VALUES, np.full((1, 101), np.nan)])
    assert stretch_limits(stretch, "B04", values=values, sensor="sentinel2_l2a") == pytest.approx(limits)


def test_an_image_without_data_has_limits_too() -> None:
    assert stretch_limits("percent_2", "B04", values=np.full((2, 2), np.nan), sensor="sentinel2_l2a") == (0.0, 1.0)


@pytest.mark.parametrize(
    ("entry", "sensor", "limits"),
    [
        ("B04", "sentinel2_l2a", (0.0, 0.2)),
        ("B08", "sentinel2_l2a", (0.0, 0.5)),
        ("VV", "sentinel1_grd", (-25.0, 0.0)),
        ("VH", "sentinel1_grd", (-32.0, -5.0)),
        ("ratio:VV/VH", "sentinel1_grd", (0.0, 15.0)),
        ("B10", "landsat8_l2_thermal", (250.0, 330.0)),
    ],
)
def test_fixed_limits_do_not_look_at_the_image(entry: str, sensor: str, limits: tuple[float, float]) -> None:
    assert stretch_limits("fixed", entry, values=VALUES, sensor=sensor) == limits


def test_an_unknown_stretch_is_named_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=f"no stretch 'gamma'.*{', '.join(STRETCHES)}"):
        stretch_limits("gamma", "B04", values=VALUES, sensor="sentinel2_l2a")
