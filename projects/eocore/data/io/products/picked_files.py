"""Single files picked out of a product's folder: what lies around them, or their name, says which sensor they are.

Their numbers alone do not: an offset of 1,000 that is not taken off reads like brighter ground, the scale of another level like darker.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from eocore.data.io.products import sentinel2
from eocore.errors import DataError
from eocore.sensors.bands import Sensor

MAX_FOLDERS_UP = 5
"""From IMG_DATA/R10m below GRANULE/TILE to the folder of a Sentinel-2 product."""
_LANDSAT = re.compile(r"L[COT]0([89])_L([12])\w\w_\d{6}_\d{8}_\d{8}_\d\d_\w\d_(\w+)\.TIF", re.IGNORECASE)
"""Platform, level and layer. Source: USGS Landsat Collection 2 Level 1 and Level 2 product naming (LSDS-1618, LSDS-1619)."""


def check_picked_files(paths: Iterable[Path], sensor: Sensor) -> None:
    """Raise DataError if a file of digital numbers is of another product level, baseline or satellite than its sensor."""
    if sensor.raw_unit != "dn":
        return
    for path in paths:
        expected, reason = _sentinel2_sensor(path) if sensor.name.startswith("sentinel2_") else _landsat_sensor(path, sensor)
        if expected and expected != sensor.name:
            raise DataError(
                f"{path}: {reason}, which is sensor {expected}, but the file was to be read as {sensor.name}; reflectance would be wrong. "
                f"Name sensor {expected}, or give the folder of the product instead."
            )


def _sentinel2_sensor(path: Path) -> tuple[str, str]:
    """Sensor of a file in the folder of a product and why; "" where there is no such folder above it."""
    folders = path.absolute().parents[:MAX_FOLDERS_UP] if path.suffix.lower() == ".jp2" else ()
    for folder in folders:
        metadata = sentinel2.find_metadata(folder)
        if metadata:
            return sentinel2.sensor_of_files(metadata), f"{metadata} states its level and offset"
    return "", ""


def _landsat_sensor(path: Path, sensor: Sensor) -> tuple[str, str]:
    """Sensor of a file that has the name under which it is delivered, and why; "" where it has another."""
    named = _LANDSAT.fullmatch(path.name)
    if named is None or not sensor.name.startswith("landsat"):
        return "", ""
    thermal = "_thermal" if named[2] == "2" and named[3].upper().startswith("ST_B") else ""
    return f"landsat{named[1]}_l{named[2]}{thermal}", f"its name says Landsat {named[1]} Level {named[2]}"
