"""Scale and offset as a file declares them, against those of its sensor."""

from collections.abc import Sequence

from eocore.errors import DataError
from eocore.sensors.bands import Sensor, get_sensor, sensor_names
from eocore.sensors.ranges import Scaling, siblings

NO_SCALING: Scaling = (1.0, 0.0)
"""What the tags of a file say that has none. Source: GDAL raster data model."""

LARGEST = 1e18
"""Scales, their reciprocals and the offsets are smaller, whatever their sign: with any number of a file, 32-bit floats hold the result."""
OF_DISPLAY: Scaling = (1 / 255, 0.0)
"""What pictures made for display may be tagged with: their brightness from 0 to 1."""
SAME = 1e-3
"""Relative difference up to which two scales, or offsets, are one: tags are written with few digits."""


def agreed_scaling(tags: Sequence[Scaling], sensor: Sensor, *, source: str) -> tuple[Scaling, ...] | None:
    """What is applied to the layers of a file in place of the sensor's own scaling; None = the sensor's own.

    A sensor of physical values takes the file's tags. One of digital numbers has its own scale, so the tags must say the same, or what
    another sensor of its bands says (Sentinel-2 with and without the offset of baseline 04.00): then they are applied, layer by layer.

    Args:
        tags: (scale, offset) of each layer that is read.
        sensor: what the file is taken for.
        source: the file, for messages.

    Raises:
        DataError: the tags are no numbers, or contradict the sensor.
    """
    if all(tag == NO_SCALING for tag in tags):
        return None
    if not all(1 / LARGEST < abs(scale) < LARGEST and abs(offset) < LARGEST for scale, offset in tags):
        raise DataError(f"{source}: its tags give scale and offset as {_listed(tags)}, which are no usable numbers. Write them again.")
    if sensor.raw_unit == "dn":
        return _agreed_with_digital(tags, sensor, source=source)
    if sensor.raw_unit == "uint8" and all(same_scaling(tag, OF_DISPLAY) for tag in tags):
        return None
    if sensor.raw_unit == "uint8":
        raise DataError(
            f"{source}: its tags give scale and offset as {_listed(tags)}, but {sensor.name} holds pictures made for display, which have "
            "none. Name the sensor that was measured with, or remove the tags (gdal_edit.py -scale 1 -offset 0 FILE)."
        )
    return tuple(tags)


def own_scaling(sensor: Sensor) -> Scaling:
    """(scale, offset) of a sensor of digital numbers, as tags would say it."""
    return sensor.scale, sensor.offset + sensor.offset_dn * sensor.scale


def _agreed_with_digital(tags: Sequence[Scaling], sensor: Sensor, *, source: str) -> tuple[Scaling, ...] | None:
    if all(same_scaling(tag, own_scaling(sensor)) for tag in tags):
        return None
    others = [get_sensor(name) for name in sensor_names()]
    others = [other for other in others if other.raw_unit == "dn" and other.unit == sensor.unit]
    of_bands = [other for other in others if other.bands == sensor.bands and abs(other.scale / sensor.scale - 1) <= SAME]
    if all(any(same_scaling(tag, own_scaling(other)) for other in (sensor, *of_bands)) for tag in tags):
        return tuple(tags)
    likely = sorted({other.name for other in others if any(same_scaling(tag, own_scaling(other)) for tag in tags)})
    hint = f"These are the scale and offset of {', '.join(likely)}: name that sensor. " if likely else ""
    physical = siblings(sensor, "physical") or "a sensor of physical values"
    raise DataError(
        f"{source}: its tags give scale and offset as {_listed(tags)}, but {sensor.name} has {_listed([own_scaling(sensor)])}; one of them "
        f"is wrong. {hint}If the tags are right, name {physical}, to which they are applied; if they are not, remove them "
        "(gdal_edit.py -scale 1 -offset 0 FILE)."
    )


def same_scaling(first: Scaling, second: Scaling) -> bool:
    """Whether two pairs of scale and offset are one, written with few digits."""
    return all(abs(a - b) <= SAME * max(abs(a), abs(b)) for a, b in zip(first, second, strict=True))


def _listed(tags: Sequence[Scaling]) -> str:
    return " / ".join(f"({scale:g}, {offset:g})" for scale, offset in list(dict.fromkeys(tags))[:4])
