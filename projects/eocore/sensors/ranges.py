"""Whether numbers can be what a sensor measures. The limits are physical, and decided on fractions and percentiles, not single pixels."""

from collections.abc import Sequence

import numpy as np

from eocore.errors import DataError
from eocore.sensors.bands import Sensor, get_sensor, sensor_names
from eocore.sensors.fill_values import DECLARE, NEGATIVE_FILLS, Scaling, check_fills

POSSIBLE = {"reflectance": (-0.25, 10.0), "sigma0_db": (-90.0, 60.0), "kelvin": (140.0, 1500.0)}
"""Unit -> values beyond which no pixel lies. Reflectance: Landsat's scaling begins at -0.2 and Sentinel-2's ends at 6.55 (LSDS-1619; ESA
Sentinel-2 Products Specification Document). Backscatter: the noise floor of Sentinel-1 is at -22 dB or lower (its specification), the
strongest corner reflectors and ships reach some 40 dB. Temperature: Landsat's begins at 149 K (LSDS-1619); fires stay below 1500 K."""

HIGHEST_REFLECTANCE = 2.0
"""Half of an image is never above: snow and cloud reach about 1, seldom 1.6, where Landsat's scaling ends."""
LOWEST_REFLECTANCE = -0.05
"""Half of a band is never below: atmospheric correction overshoots by 0.02 over dark water, a wrong offset of -0.1 goes further."""
QUANTUM_REFLECTANCE = 1e-4
"""Steps in which Sentinel-2 is delivered; almost nothing of an image lies below, unless it was scaled twice."""
QUANTUM_ROUNDING = 0.99

HIGHEST_DB = -3.0
"""A twentieth of an image is always below, in a city its streets. Linear power, amplitudes and stretched values are not."""
LOWEST_MEDIAN_DB = -50.0
"""Half of an image is never below: calm water in VH at the noise floor is at -30 dB or a little lower."""
HIGHEST_MEDIAN_DB = 10.0
"""Half of an image is never above, also in a city."""
LOWEST_POWER = -1.0
"""Linear power less its noise is negative by less than the noise; dB are not."""

KELVIN_MEDIANS = (170.0, 380.0)
"""Half of an image is never outside: the coldest ground measured from space has 175 K (Scambos et al. 2018, doi:10.1029/2018GL078133)."""

PERCENT_MOST = 105.0
"""A thousandth of an image in percent is above: clouds and glint exceed 100 a little."""
PERCENT_SPREAD = 25.0
"""Spread between percentiles 5 and 99 of a band of land in percent; dark water, whose digital numbers are as low, is smooth."""
ROUNDING_DN = 0.02
"""Digital numbers that went through 32-bit floats are whole to this."""
UINT8_MOST = 255.0
UINT8_SPREAD = 64.0
"""Spread between percentiles 5 and 99 that each band of a picture of 8 bits exceeds. Water as dark as 255 digital numbers in all bands is
smooth, and land exceeds 255."""

SAMPLES_PER_BAND = 512


def siblings(sensor: Sensor, raw_unit: str) -> str:
    """The registered sensors of the same bands and unit whose files hold `raw_unit`, as "a or b"; "" where there is none."""
    known = [get_sensor(name) for name in sensor_names()]
    same = [other for other in known if other.raw_unit == raw_unit and (other.bands, other.unit) == (sensor.bands, sensor.unit)]
    product = sensor.name.removesuffix("_linear").removesuffix("_pb0400").removesuffix("_reflectance")
    near = [other.name for other in same if other.name.startswith(product)]
    return " or ".join(near or [other.name for other in same])


def check_numbers(numbers: np.ndarray, sensor: Sensor, *, source: str, scaling: Sequence[Scaling] | None = None) -> None:
    """Raise DataError if a file holds numbers that its sensor cannot give, such as fill values that it does not declare.

    Args:
        numbers: (C, H, W) or any shape, as the file holds them, float32; NaN where there is no data.
        sensor: says what they mean.
        source: the file, for messages.
        scaling: of each layer, where the file's own replaces the sensor's.
    """
    if sensor.unit not in POSSIBLE or not numbers.size:
        return
    layers = numbers.reshape(len(numbers) if numbers.ndim == 3 else 1, -1)
    low, high = _limits(sensor, scaling)
    lowest, highest = np.fmin.reduce(layers, axis=1), np.fmax.reduce(layers, axis=1)
    if (lowest < low).any() or (highest > high).any():
        _refuse_beyond(layers, (layers < np.reshape(low, (-1, 1))) | (layers > np.reshape(high, (-1, 1))), sensor=sensor, source=source)
    check_fills(layers, sensor, lowest=lowest, highest=highest, scaling=scaling, source=source)


def check_values(pixels: np.ndarray, sensor: Sensor, *, source: str) -> None:
    """Raise DataError if an image as a whole is in another unit or scale than its sensor's.

    Args:
        pixels: (C, H, W) in the sensor's unit, NaN where there is no data.
        sensor: says what the files hold.
        source: the files, for messages.
    """
    if sensor.unit not in POSSIBLE:
        return
    flat = pixels.reshape(len(pixels), -1)
    sample = flat[:, :: flat.shape[1] // SAMPLES_PER_BAND | 1]
    known = sample[np.isfinite(sample)]
    if known.size:
        _CHECKS[sensor.unit](sample, known, sensor=sensor, source=source)


def _limits(sensor: Sensor, scaling: Sequence[Scaling] | None) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest number that a layer can hold, each (C,) or (1,)."""
    low, high = POSSIBLE[sensor.unit]
    if sensor.raw_unit == "power":
        low, high = LOWEST_POWER, 10 ** (high / 10)
    own = [(1.0, 0.0)] if sensor.raw_unit != "dn" else [(sensor.scale, sensor.offset + sensor.offset_dn * sensor.scale)]
    ends = np.array([((low - offset) / scale, (high - offset) / scale) for scale, offset in scaling or own])
    return ends.min(axis=1), ends.max(axis=1)


def _refuse_beyond(layers: np.ndarray, beyond: np.ndarray, *, sensor: Sensor, source: str) -> None:
    """Raise DataError for numbers no pixel can have; a few unlike ones, as divisions by almost nothing leave them, pass."""
    numbers, counts = np.unique(layers[beyond], return_counts=True)
    total, known = int(counts.sum()), int(np.isfinite(layers).sum())
    common = float(numbers[counts.argmax()])
    is_fill = counts.max() >= 0.9 * total and (common == round(common) or abs(common) > 1e6)
    if is_fill or (common in NEGATIVE_FILLS and total < 0.5 * known):
        number = f"{common:.10g}"
        raise DataError(
            f"{source}: {counts.max()} of {layers.size} numbers are {number}, which {sensor.name} cannot measure: a fill value that the "
            f"file does not declare would be read as ground. {DECLARE.format(number)}."
        )
    if total >= 0.001 * known:
        raise DataError(
            f"{source}: {total / known:.1%} of the numbers cannot be what {sensor.name} holds (from {float(numbers[0]):.4g} to "
            f"{float(numbers[-1]):.4g}). {_remedy(sensor, float(np.nanmedian(layers)))}"
        )


def _remedy(sensor: Sensor, median: float) -> str:
    """Which sensor the numbers are probably of."""
    if sensor.raw_unit == "physical" and median > 1:
        return f"If they are digital numbers, name sensor {siblings(sensor, 'dn')}; if they are percent, divide by 100."
    if sensor.raw_unit == "power" and median < 0:
        return f"If the file is in dB, name sensor {siblings(sensor, 'db')}."
    if sensor.raw_unit in ("db", "power"):
        choices = f"{siblings(sensor, 'db')} for dB, {siblings(sensor, 'power')} for linear power"
        return f"Numbers that are not calibrated, or dB times 10 or 100? Calibrate them, divide them back, or name the sensor ({choices})."
    return "Look at the file: which product, scale, offset and nodata value are its own? Name the sensor they belong to."


def _check_reflectance(sample: np.ndarray, known: np.ndarray, *, sensor: Sensor, source: str) -> None:
    held = known[known != 0]
    if not held.size:
        return
    middle = float(np.median(held))
    if middle > HIGHEST_REFLECTANCE:
        raise DataError(
            f"{source}: read as {sensor.name}, half of the image has a reflectance above {middle:.3g}; ground, snow and cloud have 0 to "
            f"about 1.5. {_scale_remedy(sensor)}"
        )
    _check_not_scaled_twice(np.abs(held), sensor, source=source)
    medians = np.array([np.median(band[np.isfinite(band)]) if np.isfinite(band).any() else 0.0 for band in sample])
    if medians.min() < LOWEST_REFLECTANCE:
        raise DataError(
            f"{source}: read as {sensor.name}, half of layer {int(medians.argmin()) + 1} has a reflectance below {medians.min():.2f}, "
            f"which no ground has: the offset of the sensor is not in these numbers. {_scale_remedy(sensor)}"
        )
    if sensor.raw_unit == "dn":
        numbers = (sample - sensor.offset) / sensor.scale - sensor.offset_dn
        _check_not_percent(numbers, sensor, source=source)
        _check_not_uint8(numbers, sensor, source=source)


def _check_not_percent(numbers: np.ndarray, sensor: Sensor, *, source: str) -> None:
    """Raise DataError if digital numbers look like percent: fractions up to 100, or whole numbers up to 100 that differ as land does."""
    known = numbers[np.isfinite(numbers)]
    if float(np.percentile(known, 99.9, method="higher")) > PERCENT_MOST:
        return
    filled = numbers[np.isfinite(numbers).any(axis=1)]
    low, high = np.nanpercentile(filled, (5, 99), axis=1)
    has_fractions = float((np.abs(known - np.rint(known)) > ROUNDING_DN).mean()) > 0.5
    if has_fractions or (len(filled) > 1 and float((high - low).max()) >= PERCENT_SPREAD):
        raise DataError(
            f"{source}: almost all numbers are below {PERCENT_MOST:.0f}, but {sensor.name} holds digital numbers in the thousands: are "
            f"they percent? Divide those by 100 and name a sensor of reflectance ({siblings(sensor, 'physical') or 'raw_unit physical'}). "
            "Digital numbers of dark water that were resampled have to be rounded to integers."
        )


def _check_not_scaled_twice(sizes: np.ndarray, sensor: Sensor, *, source: str) -> None:
    middle = float(np.median(sizes))
    if middle < QUANTUM_ROUNDING * QUANTUM_REFLECTANCE and np.percentile(sizes, 99) < 2 * QUANTUM_REFLECTANCE:
        raise DataError(
            f"{source}: read as {sensor.name}, almost all reflectances are below {2 * QUANTUM_REFLECTANCE:g} (half below {middle:.2g}): "
            "divided by the scale twice? If the file holds reflectance already, leave out the second division or the scale tag left in it, "
            f"and name a sensor of reflectance ({siblings(sensor, 'physical') or 'raw_unit physical'})."
        )


def _scale_remedy(sensor: Sensor) -> str:
    others = [name for name in siblings(sensor, "dn").split(" or ") if name and name != sensor.name]
    others += [name for name in siblings(sensor, "physical").split(" or ") if name and name != sensor.name]
    hint = f" (of its bands there are also {', '.join(others)})" if others else ""
    return f"Name the sensor that the numbers are of{hint}; percent and stretched pictures have to be scaled back first."


def _check_not_uint8(numbers: np.ndarray, sensor: Sensor, *, source: str) -> None:
    filled = numbers[np.isfinite(numbers).any(axis=1)]
    if not len(filled) or float(np.nanmax(filled)) > UINT8_MOST + 0.5:
        return
    low, high = np.nanpercentile(filled, (5, 99), axis=1)
    most = UINT8_SPREAD if len(filled) > 1 else 2 * UINT8_SPREAD
    if ((high - low) >= most).all():
        raise DataError(
            f"{source}: all numbers are between 0 and 255 and spread over that range, but {sensor.name} holds 16-bit digital numbers: a "
            "picture of 8 bits, stretched for display, in another type. Take the product itself, or save the picture as uint8 and name "
            "sensor rgb_uint8 or grey_uint8."
        )


def _check_backscatter(sample: np.ndarray, known: np.ndarray, *, sensor: Sensor, source: str) -> None:
    low, middle = (float(value) for value in np.percentile(known, (5, 50)))
    if LOWEST_MEDIAN_DB <= middle <= HIGHEST_MEDIAN_DB and low <= HIGHEST_DB:
        return
    if sensor.raw_unit == "db" and low > HIGHEST_DB and float(known.min()) > LOWEST_POWER and middle < HIGHEST_MEDIAN_DB:
        raise DataError(
            f"{source}: read as {sensor.name}, 95 % of the image is above {low:.3g} dB (half above {middle:.3g}), which no ground is: the "
            f"file probably holds linear power. If so, name sensor {siblings(sensor, 'power')} (in a config sensor=..., in predict "
            "--sensor sar=...)."
        )
    raise DataError(
        f"{source}: read as {sensor.name}, half of the image is above {middle:.4g} dB and 95 % above {low:.4g} dB, but backscatter of "
        f"ground is about -30 to 5 dB. {_remedy(sensor, middle)}"
    )


def _check_temperature(sample: np.ndarray, known: np.ndarray, *, sensor: Sensor, source: str) -> None:
    middle = float(np.median(known))
    if not KELVIN_MEDIANS[0] <= middle <= KELVIN_MEDIANS[1]:
        raise DataError(
            f"{source}: read as {sensor.name}, half of the image is above {middle:.1f} K; ground and cloud have "
            f"{KELVIN_MEDIANS[0]:.0f} to {KELVIN_MEDIANS[1]:.0f} K. {_scale_remedy(sensor)}"
        )


_CHECKS = {"reflectance": _check_reflectance, "sigma0_db": _check_backscatter, "kelvin": _check_temperature}
