"""Numbers that stand for no data although the file does not declare them."""

from collections.abc import Sequence

import numpy as np

from eocore.errors import DataError
from eocore.sensors.bands import Sensor

Scaling = tuple[float, float]
"""(scale, offset): what a layer measures is number * scale + offset."""

NEGATIVE_FILLS = (-32768.0, -9999.0, -999.0, -99.0)
"""Negative digital numbers that stand for no data where no other number is negative."""
LARGEST_FILLS = (65535.0, 32767.0)
"""The largest numbers of 16-bit types. They mark saturated pixels too."""
POWER_FILLS = (*LARGEST_FILLS, 99999.0, 9999.0, 999.0, 99.0)
"""Linear power is measured up to some 10,000 (`ranges.POSSIBLE`), but never so much in many pixels, or in all polarisations, alike."""
SCALED_FILLS = tuple(number * 1e-4 + offset for number in LARGEST_FILLS for offset in (0.0, -0.1))
"""What the largest numbers of 16-bit types become as reflectance of Sentinel-2, where a program scaled them like the others."""
BOUND_SHARE = 0.005
"""Share of a layer from which on its largest number stands for no data, not for a saturated pixel; and likewise -1, which single pixels
that were resampled have."""
ZERO_SHARE = {True: 0.001, False: 0.01}
"""Share of pixels of exactly 0 dB from which on 0 stands for no data: in all of several layers, or in the only one."""
FEWEST_BANDS = 6
"""From which on some are short-wave infrared, where clouds that are 1 in all visible bands are darker."""
ALIKE_SHARE = 0.01
"""Share of pixels that are one number in all bands, from which on it stands for no data."""

DECLARE = "Declare it as the file's nodata (rio edit-info --nodata {0} FILE, or gdal_edit.py -a_nodata {0} FILE; NaN in an array)"


def check_fills(
    layers: np.ndarray, sensor: Sensor, *, lowest: np.ndarray, highest: np.ndarray, scaling: Sequence[Scaling] | None, source: str
) -> None:
    """Raise DataError if numbers that could be measured stand for no data all the same.

    Args:
        layers: (C, N) numbers as the file holds them, float32; NaN where there is no data.
        sensor: says what they mean.
        lowest, highest: (C,) of each layer.
        scaling: of each layer, where the file's own replaces the sensor's.
        source: the file, for messages.
    """
    least, most = float(np.fmin.reduce(lowest)), float(np.fmax.reduce(highest))
    if sensor.raw_unit == "dn" or scaling is not None:
        _check_largest(layers, most, fills=LARGEST_FILLS, source=source)
        _check_negative(layers, least, sensor=sensor, source=source)
    elif sensor.raw_unit == "power":
        _check_largest(layers, most, fills=POWER_FILLS, source=source)
    elif sensor.unit == "reflectance":
        _check_largest(layers, most, fills=SCALED_FILLS, source=source)
    if sensor.unit == "reflectance":
        _check_alike(layers, source=source)
    if sensor.raw_unit == "db" and all(offset == 0 for _, offset in scaling or ()):
        _check_zeros(layers, source=source)


def blank_zeros(pixels: np.ndarray, zeros: np.ndarray) -> None:
    """Pixels that hold the number 0 in all bands of reflectance become NaN, in place: what a sensor measures is 0 in some bands at most.

    Args:
        pixels: (C, H, W).
        zeros: (C,) what the number 0 of each layer has become.
    """
    zero = pixels == zeros.astype(np.float32)[:, None, None]
    pixels[:, zero.all(axis=0)] = np.nan


def _check_largest(layers: np.ndarray, highest: float, *, fills: Sequence[float], source: str) -> None:
    """Saturated pixels are few, and not saturated in all bands at once."""
    if not np.isclose(highest, fills, rtol=1e-6, atol=0).any():
        return
    found = layers == np.float32(highest)
    if (len(layers) > 2 and found.all(axis=0).any()) or found.mean(axis=1).max() >= BOUND_SHARE:
        number = f"{highest:.7g}"
        raise DataError(
            f"{source}: {int(found.sum())} of {layers.size} numbers are {number}, the largest there is: a fill value that the file does "
            f"not declare would be read as the brightest ground. {DECLARE.format(number)}."
        )


def _check_negative(layers: np.ndarray, lowest: float, *, sensor: Sensor, source: str) -> None:
    if not lowest < 0:
        return
    found = layers == lowest
    if ((layers < 0) & ~found).any():
        return
    is_fill = lowest in NEGATIVE_FILLS
    if lowest == -1 and sensor.unit != "sigma0_db":
        is_fill = bool((len(layers) > 2 and found.all(axis=0).any()) or found.mean(axis=1).max() >= BOUND_SHARE)
    if is_fill:
        raise DataError(
            f"{source}: {int(found.sum())} of {layers.size} numbers are {lowest:.0f}, all others are positive: a fill value "
            f"that the file does not declare would be read as ground. {DECLARE.format(f'{lowest:.0f}')}."
        )


def _check_alike(layers: np.ndarray, *, source: str) -> None:
    """Reflectance differs from band to band, in cloud and snow too; images that are one number throughout are no measurement."""
    if len(layers) < FEWEST_BANDS:
        return
    known = np.flatnonzero(np.isfinite(layers[0]) & (layers[0] != 0))
    alike = known
    for layer in layers[1:]:  # few pixels are left after the first
        alike = alike[layer[alike] == layers[0][alike]]
    if not 0 < alike.size < known.size:
        return
    numbers, counts = np.unique(layers[0][alike], return_counts=True)
    share = float(counts.max() / known.size)
    if share >= ALIKE_SHARE:
        number = f"{float(numbers[counts.argmax()]):.7g}"
        raise DataError(
            f"{source}: {share:.1%} of the pixels are {number} in all {len(layers)} bands, which no ground is: a fill value that the file "
            f"does not declare would be read as ground. {DECLARE.format(number)}."
        )


def _check_zeros(layers: np.ndarray, *, source: str) -> None:
    share = float((layers == 0).all(axis=0).mean())
    if share >= ZERO_SHARE[len(layers) > 1]:
        raise DataError(
            f"{source}: {share:.1%} of the pixels are exactly 0 dB in all layers: a fill value that the file does not declare would be "
            f"read as the brightest ground. {DECLARE.format('0')}."
        )
