"""What a file holds -> the physical unit of the sensor. Pure functions on numpy arrays; NaN where there is no data."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from eocore.errors import DataError
from eocore.sensors.bands import RawUnit, Sensor
from eocore.sensors.ranges import Scaling, check_numbers, siblings

DB_PER_DECADE = 10.0
LARGEST_REFLECTANCE = 2.0
"""Digital numbers of Sentinel-2 and Landsat run to thousands; fractions that hardly exceed this are reflectance already."""
SAMPLES = 16_384
"""Numbers of a file that percentiles are taken of."""


def scale_digital(digital: np.ndarray, *, scale: float, offset: float = 0.0, offset_dn: int = 0, nodata: float | None = None) -> np.ndarray:
    """(number + offset_dn) * scale + offset.

    Args:
        digital: digital numbers, any shape.
        scale: unit per digital number.
        offset: in the unit (Landsat).
        offset_dn: in digital numbers (Sentinel-2: -1000 from processing baseline 04.00 on, else 0).
        nodata: number that stands for no data.

    Returns:
        The same shape, float32; NaN where `digital` is nodata or not finite.
    """
    values = nodata_to_nan(digital, nodata)
    values += np.float32(offset_dn)
    values *= np.float32(scale)
    values += np.float32(offset)
    return values


def nodata_to_nan(digital: np.ndarray, nodata: float | None = None) -> np.ndarray:
    """`digital` as float32 with NaN where it is `nodata`, infinite, or too large for float32."""
    if digital.dtype.kind in "iu":  # always finite
        numbers = digital.astype(np.float32)
        if nodata is not None:
            numbers[digital == nodata] = np.nan
        return numbers
    with np.errstate(over="ignore"):  # float64 fill values such as -1.8e308 become infinite, and so NaN
        values = digital.astype(np.float32)
    invalid = ~np.isfinite(values)
    if nodata is not None:
        invalid |= digital == nodata
    values[invalid] = np.nan
    return values


def power_to_db(power: np.ndarray, *, nodata: float | None = 0) -> np.ndarray:
    """Backscatter [dB] from linear power: 10 log10(power), float32; NaN where the power is not positive."""
    values = nodata_to_nan(power, nodata)
    values[~(values > 0)] = np.nan
    return np.float32(DB_PER_DECADE) * np.log10(values)


def correct_sun_elevation(reflectance: np.ndarray, *, sun_elevation_deg: float) -> np.ndarray:
    """Landsat top-of-atmosphere reflectance: divided by the sine of the sun elevation (SUN_ELEVATION of the product's MTL file).

    Raises:
        DataError: the sun is not above the horizon.
    """
    if not 0 < sun_elevation_deg <= 90:
        raise DataError(f"sun elevation {sun_elevation_deg} deg: expected above 0 up to 90. Take SUN_ELEVATION from the MTL file.")
    return reflectance / np.float32(np.sin(np.deg2rad(sun_elevation_deg)))


def stored_as(sensor: Sensor, raw_unit: RawUnit | None) -> Sensor:
    """The sensor, of which a file holds `raw_unit` (a product already converted by its metadata); None = as the sensor says."""
    if raw_unit is None:
        return sensor
    return replace(sensor, raw_unit=raw_unit, scale=1.0, offset=0.0, offset_dn=0, nodata=None)


def to_canonical(
    digital: np.ndarray,
    sensor: Sensor,
    *,
    source: str,
    valid: np.ndarray | None = None,
    scaling: Sequence[Scaling] | None = None,
) -> np.ndarray:
    """What a file of `sensor` holds, in the sensor's unit.

    Args:
        digital: numbers as read, any shape.
        sensor: says what they mean.
        source: the file, for messages.
        valid: False where the file declares that there is no data; of a shape that broadcasts. None = it declares nothing.
        scaling: (scale, offset) of each layer as the file declares them, of (C, H, W) numbers; in place of the sensor's own, or before what
            the sensor does. None = the file declares none, or the sensor's own.

    Returns:
        The same shape, float32, in `sensor.unit`; NaN where there is no data.

    Raises:
        DataError: the numbers cannot be what the sensor says (wrong data type, reflectance for digital numbers, dB for power), or hold a
            fill value that is not declared.
    """
    if digital.dtype.kind not in "iuf":
        raise DataError(
            f"{source}: {digital.dtype} pixels; expected real numbers. Convert them first (complex radar data: the squared magnitude)."
        )
    _check_type(digital.dtype, sensor, source=source, is_scaled=scaling is not None)
    numbers = nodata_to_nan(digital, sensor.nodata)
    if valid is not None:
        numbers[~np.broadcast_to(valid, numbers.shape)] = np.nan
    if sensor.raw_unit == "dn" and digital.dtype.kind == "f":
        _check_digital(numbers, sensor, source=source)
    elif sensor.raw_unit == "power" and scaling is None:
        _check_power(numbers, sensor, source=source)
    check_numbers(numbers, sensor, source=source, scaling=scaling)
    if scaling is not None:
        scales, offsets = np.array(scaling, np.float32).T[:, :, None, None]
        numbers = numbers * scales + offsets
    elif sensor.raw_unit == "dn":
        numbers += np.float32(sensor.offset_dn)
        numbers *= np.float32(sensor.scale)
        numbers += np.float32(sensor.offset)
    return power_to_db(numbers, nodata=None) if sensor.raw_unit == "power" else numbers


def _check_type(dtype: np.dtype, sensor: Sensor, *, source: str, is_scaled: bool) -> None:
    """Raise DataError if pixels of a type cannot hold what the sensor's files do; integers hold physical values where they are scaled."""
    if sensor.raw_unit == "dn" and dtype.itemsize == 1:
        raise DataError(
            f"{source}: {dtype} pixels, but {sensor.name} holds 16-bit digital numbers; reflectance would come out near 0. "
            "A picture stretched for display is of sensor rgb_uint8 or grey_uint8."
        )
    if sensor.raw_unit == "uint8" and dtype != np.uint8:
        raise DataError(
            f"{source}: {dtype} pixels, but {sensor.name} holds uint8 pictures made for display. "
            "Name the sensor the numbers come from, or stretch them to 0..255 first."
        )
    if sensor.raw_unit in ("physical", "power", "db") and dtype.kind != "f" and not is_scaled:
        numbers = siblings(sensor, "dn")
        raise DataError(
            f"{source}: {dtype} pixels, but {sensor.name} holds floating-point {sensor.raw_unit} values. Calibrate the product first, or "
            f"name the sensor that holds its digital numbers{f' ({numbers})' if numbers else ''}."
        )


def _check_digital(numbers: np.ndarray, sensor: Sensor, *, source: str) -> None:
    sample = _sample(numbers)
    if not sample.size or (sample % 1 == 0).all():
        return
    largest = float(np.percentile(sample, 90, method="higher"))
    if largest <= LARGEST_REFLECTANCE:
        raise DataError(
            f"{source}: largest value {largest:.4g}, but {sensor.name} holds digital numbers in the thousands. If the file holds physical "
            f"values already, name a sensor whose raw_unit is 'physical', such as {siblings(sensor, 'physical') or 'a registered one'}."
        )


def _check_power(numbers: np.ndarray, sensor: Sensor, *, source: str) -> None:
    sample = _sample(numbers)
    if sample.size and float(np.percentile(sample, 99, method="higher")) <= 0 and (sample < 0).any():
        raise DataError(
            f"{source}: no value above 0, but {sensor.name} holds linear power, which is never negative. "
            f"If the file is in dB, name sensor {sensor.name.removesuffix('_linear')}."
        )


def _sample(numbers: np.ndarray) -> np.ndarray:
    """Finite numbers other than 0, at most some ten thousand."""
    flat = numbers.reshape(-1)
    sample = flat[:: flat.size // SAMPLES | 1]
    return sample[np.isfinite(sample) & (sample != 0)]
