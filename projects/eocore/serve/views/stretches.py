"""Which values of a band are shown as black and as white."""

import numpy as np

from eocore.errors import ConfigError
from eocore.portable.band_rendering import RATIO
from eocore.sensors.bands import Sensor, get_sensor
from eocore.text import did_you_mean

STRETCHES = {
    "percent_2": "2 to 98 % of this image",
    "percent_05": "0.5 to 99.5 % of this image",
    "min_max": "Smallest to largest value",
    "fixed": "Same limits for every image",
}
"""Name in addresses -> title in the menu."""
PERCENTILES = {"percent_2": (2.0, 98.0), "percent_05": (0.5, 99.5), "min_max": (0.0, 100.0)}
FIXED_VISIBLE, FIXED_INFRARED, FIXED_KELVIN = (0.0, 0.2), (0.0, 0.5), (250.0, 330.0)
"""Limits that do not depend on the image: most land is darker than these reflectances [1], and colder than 330 K."""
RED_EDGE_NM = 690.0
"""From here on leaves are bright [nm]."""
FIXED_DECIBELS = {"VV": (-25.0, 0.0), "HH": (-25.0, 0.0), "VH": (-32.0, -5.0), "HV": (-32.0, -5.0)}
"""As shown to the models by default, see `eocore.portable.band_rendering`."""
FIXED_RATIO = (0.0, 15.0)
"""Of co- to cross-polarised backscatter [dB]."""
OTHER_DECIBELS = (-30.0, 0.0)


def stretch_limits(stretch: str, entry: str, *, values: np.ndarray, sensor: str) -> tuple[float, float]:
    """The values shown as black and as white; (0, 1) where nothing is known.

    Args:
        stretch: of STRETCHES.
        entry: a band, or `ratio:A/B`.
        values: (H, W) of the whole image, NaN where there is no data.
        sensor: name in the sensor registry.

    Raises:
        ConfigError: there is no such stretch.
    """
    if stretch not in STRETCHES:
        raise ConfigError(f"no stretch '{stretch[:40]}'.{did_you_mean(stretch, STRETCHES)} There are {', '.join(STRETCHES)}.")
    if stretch == "fixed":
        return _fixed(entry, get_sensor(sensor))
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.percentile(known, PERCENTILES[stretch])
    return float(low), float(high)


def _fixed(entry: str, sensor: Sensor) -> tuple[float, float]:
    if sensor.unit == "reflectance":
        return FIXED_INFRARED if sensor.band(entry).centre_nm > RED_EDGE_NM else FIXED_VISIBLE
    if sensor.unit == "kelvin":
        return FIXED_KELVIN
    return FIXED_RATIO if entry.startswith(RATIO) else FIXED_DECIBELS.get(entry, OTHER_DECIBELS)
