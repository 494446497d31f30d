"""What a file holds -> the physical unit of the sensor. Pure functions on numpy arrays; NaN where there is no data."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from eocore.errors import DataError
from eocore.sensors.bands import RawUnit, Sensor

DB_PER_DECADE = 10.0
LARGEST_REFLECTANCE = 2.0
"""Digital numbers of Sentinel-2 and Landsat run to thousands; fractions that nowhere exceed this are reflectance already."""


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


def db_to_power(sigma0_db: np.ndarray) -> np.ndarray:
    """Linear power from backscatter [dB], float32; NaN stays NaN."""
    return np.power(np.float32(10), sigma0_db.astype(np.float32) / np.float32(DB_PER_DECADE))


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


def to_canonical(digital: np.ndarray, sensor: Sensor, *, source: str) -> np.ndarray:
    """What a file of `sensor` holds, in the sensor's unit.

    Args:
        digital: numbers as read, any shape.
        sensor: says what they mean.
        source: the file, for messages.

    Returns:
        The same shape, float32, in `sensor.unit`; NaN where there is no data.

    Raises:
        DataError: the numbers cannot be what the sensor says (wrong data type, reflectance for digital numbers, dB for power).
    """
    if digital.dtype.kind not in "iuf":
        raise DataError(
            f"{source}: {digital.dtype} pixels; expected real numbers. Convert them first (complex radar data: the squared magnitude)."
        )
    return _CONVERSIONS[sensor.raw_unit](digital, sensor, source=source)


def _from_dn(digital: np.ndarray, sensor: Sensor, *, source: str) -> np.ndarray:
    if digital.dtype.itemsize == 1:
        raise DataError(
            f"{source}: {digital.dtype} pixels, but {sensor.name} holds 16-bit digital numbers; reflectance would come out near 0. "
            "A picture stretched for display is of sensor rgb_uint8 or grey_uint8."
        )
    finite = digital[np.isfinite(digital)] if digital.dtype.kind == "f" else digital[:0]
    if finite.size and finite.max() <= LARGEST_REFLECTANCE and (finite % 1 != 0).any():
        raise DataError(
            f"{source}: largest value {finite.max():.4g}, but {sensor.name} holds digital numbers in the thousands. "
            "If the file holds physical values already, name a sensor whose raw_unit is 'physical', such as sentinel2_l2a_reflectance."
        )
    return scale_digital(digital, scale=sensor.scale, offset=sensor.offset, offset_dn=sensor.offset_dn, nodata=sensor.nodata)


def _from_physical(digital: np.ndarray, sensor: Sensor, *, source: str) -> np.ndarray:
    _check_float(digital, sensor, source=source)
    return nodata_to_nan(digital, sensor.nodata)


def _from_power(digital: np.ndarray, sensor: Sensor, *, source: str) -> np.ndarray:
    _check_float(digital, sensor, source=source)
    if not (digital > 0).any() and (digital < 0).any():
        raise DataError(
            f"{source}: no value above 0, but {sensor.name} holds linear power, which is never negative. "
            f"If the file is in dB, name sensor {sensor.name.removesuffix('_linear')}."
        )
    return power_to_db(digital, nodata=sensor.nodata)


def _check_float(digital: np.ndarray, sensor: Sensor, *, source: str) -> None:
    if digital.dtype.kind != "f":
        raise DataError(
            f"{source}: {digital.dtype} pixels, but {sensor.name} holds floating-point {sensor.raw_unit} values. "
            "Calibrate the product first, or name the sensor that holds its digital numbers."
        )


def _from_uint8(digital: np.ndarray, sensor: Sensor, *, source: str) -> np.ndarray:
    if digital.dtype != np.uint8:
        raise DataError(
            f"{source}: {digital.dtype} pixels, but {sensor.name} holds uint8 pictures made for display. "
            "Name the sensor the numbers come from, or stretch them to 0..255 first."
        )
    return nodata_to_nan(digital, sensor.nodata)


_CONVERSIONS: dict[str, Callable[..., np.ndarray]] = {
    "dn": _from_dn,
    "physical": _from_physical,
    "power": _from_power,
    "db": _from_physical,
    "uint8": _from_uint8,
}
