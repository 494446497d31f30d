"""Landsat Collection 2 products of Landsat 8 and 9 as delivered: folders of one GeoTIFF a band and an MTL file.

Level 1 becomes top-of-atmosphere reflectance: (M * number + A) / sin(sun elevation). Level 2 becomes surface reflectance, or surface
temperature where a sensor ..._thermal is named. Sources: USGS Landsat 8-9 Collection 2 Level 1 Data Format Control Book (LSDS-1822), Level
2 Data Format Control Book (LSDS-1328), Landsat 8 Data Users Handbook (LSDS-1574).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eocore.data.formats.entries import read_bytes
from eocore.data.formats.json_text import parse_json
from eocore.data.io.image_files import open_layers
from eocore.data.io.layer_file import LayerFile
from eocore.data.io.products.acquisition import Acquisition, as_cloud_cover, as_time
from eocore.data.io.products.layers import (
    Convert,
    ProductChoice,
    ProductLayer,
    check_complete,
    check_sensor,
    file_inside_product,
    holds,
    wanted_bands,
    whole_factor,
)
from eocore.data.io.products.metadata import finite_number, kept
from eocore.errors import BandError, DataError
from eocore.sensors.bands import get_sensor
from eocore.sensors.ranges import Scaling
from eocore.sensors.scaling import correct_sun_elevation, scale_digital

CLOUDS_UNKNOWN = -1.0
"""CLOUD_COVER where none was computed. Source: as above."""
FILL_DN = 0
"""Fill value of all bands. Source: as above."""
GRID_GSD_M = 30.0
"""Of the reflective bands, on which all bands are put unless told otherwise; the panchromatic band has half of it."""
PAN_BAND, PAN_GSD_M = "B8", 15.0
PLATFORMS = {"LANDSAT_8": "landsat8", "LANDSAT_9": "landsat9"}
MAX_MTL_BYTES = 2**20
NUM_NESTED = 8
"""Groups inside groups of an MTL file, more than there ever are."""

_FOLDER = re.compile(r"L[COTEM]0\d_L[12][A-Z0-9]{2}_\d{6}_\d{8}_\d{8}_\d{2}_(?:T1|T2|RT)")
_LINE = re.compile(r'\s*(\w+)\s*=\s*"?(.*?)"?\s*')


def is_product(folder: Path) -> bool:
    """Whether a folder is such a product, complete or not; files of several products, such as chips cut from them, are none."""
    names = {found[0] for path in folder.glob("L*_*.*") if (found := _FOLDER.match(path.name))}
    return bool(_FOLDER.match(folder.name)) or len(names) == 1


class LandsatProduct:
    """A product of one path and row.

    Args:
        folder: of the product.

    Raises:
        DataError: the MTL file is missing or broken, or of another collection or level.
        BandError: the satellite is not known.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path, self._groups = _read_mtl(folder)
        level = self._text("PROCESSING_LEVEL", group="PRODUCT_CONTENTS")
        collection = self._text("COLLECTION_NUMBER", group="PRODUCT_CONTENTS")
        if level[:2] not in ("L1", "L2") or int(finite_number(collection, "COLLECTION_NUMBER", path=self._path)) != 2:
            raise DataError(
                f"{self._path}: level {level[:20]!r} of collection {collection[:20]!r}; levels 1 and 2 of collection 2 are read."
            )
        craft = self._text("SPACECRAFT_ID", group="IMAGE_ATTRIBUTES")
        if craft not in PLATFORMS:
            raise BandError(f"{self._path}: a product of {craft[:20]!r}; expected {' or '.join(PLATFORMS)}. Bands of others are not known.")
        self.level = int(level[1])
        self.sensor = f"{PLATFORMS[craft]}_l{self.level}"

    def acquisition(self) -> Acquisition:
        """When it was taken, and its clouds. Raises DataError where the MTL file is broken."""
        attributes = self._groups.get("IMAGE_ATTRIBUTES", {})
        date, time = (attributes.get(name, "") for name in ("DATE_ACQUIRED", "SCENE_CENTER_TIME"))
        taken = as_time(f"{date}T{time}" if date and time else date, path=self._path)
        if "CLOUD_COVER" not in attributes:
            return Acquisition(taken)
        share = self._number("CLOUD_COVER", group="IMAGE_ATTRIBUTES")
        return Acquisition(taken, None if share == CLOUDS_UNKNOWN else as_cloud_cover(share, path=self._path))

    def open(self, choice: ProductChoice) -> list[LayerFile]:
        """The bands asked for, as reflectance [1] or temperature [K], on pixels of `gsd_m` (default: 30 m).

        Raises:
            DataError: a file is missing or broken, or the MTL file lacks a number.
            BandError: the sensor or a band is not the product's.
        """
        accepted = [self.sensor, f"{self.sensor}_reflectance"] if self.level == 1 else [self.sensor, f"{self.sensor}_thermal"]
        check_sensor(choice, accepted, source=self.folder, what=f"a Landsat product of level {self.level}")
        sensor = get_sensor(choice.sensor)
        bands = wanted_bands(choice, sensor.band_names, source=self.folder)
        files = {band: self._file_name(band, sensor.unit) for band in bands}
        listed = files.values() if choice.bands else {*files.values(), *self._listed()}
        check_complete(self.folder, {name for name in listed if not holds(self.folder, name)})
        opened: list[LayerFile] = []
        try:
            for band in bands:
                opened.append(self._open_band(band, self.folder / files[band], gsd_m=choice.gsd_m or GRID_GSD_M, unit=sensor.unit))
        except Exception:
            for file in opened:
                file.close()
            raise
        return opened

    def _open_band(self, band: str, path: Path, *, gsd_m: float, unit: str) -> LayerFile:
        own = PAN_GSD_M if self.level == 1 and band == PAN_BAND else GRID_GSD_M
        scale, offset = self._scaling(band, unit)
        convert = self._conversion(scale, offset)
        file = open_layers(file_inside_product(self.folder, path))
        try:
            factor = 1 if gsd_m < own and gsd_m == PAN_GSD_M else whole_factor(gsd_m, own, source=path)
            return ProductLayer(file, band, convert=convert, scaling=(scale, offset), factor=factor)
        except DataError:
            file.close()
            raise

    def _scaling(self, band: str, unit: str) -> Scaling:
        """(scale, offset) of a band, by the MTL file."""
        number = band.removeprefix("B")
        if unit == "kelvin":
            group, what, of_band = "LEVEL2_SURFACE_TEMPERATURE_PARAMETERS", "TEMPERATURE", f"ST_B{number}"
        else:
            group = "LEVEL1_RADIOMETRIC_RESCALING" if self.level == 1 else "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"
            what, of_band = "REFLECTANCE", number
        return self._number(f"{what}_MULT_BAND_{of_band}", group=group), self._number(f"{what}_ADD_BAND_{of_band}", group=group)

    def _conversion(self, scale: float, offset: float) -> Convert:
        elevation = self._number("SUN_ELEVATION", group="IMAGE_ATTRIBUTES") if self.level == 1 else None

        def convert(digital: np.ndarray) -> np.ndarray:
            values = scale_digital(digital, scale=scale, offset=offset, nodata=FILL_DN)
            return values if elevation is None else correct_sun_elevation(values, sun_elevation_deg=elevation)

        return convert

    def _file_name(self, band: str, unit: str) -> str:
        number = band.removeprefix("B")
        name = self._text(f"FILE_NAME_BAND_{f'ST_B{number}' if unit == 'kelvin' else number}", group="PRODUCT_CONTENTS")
        return self._plain_name(name)

    def _listed(self) -> set[str]:
        """Names of all images that the MTL file lists."""
        contents = self._groups.get("PRODUCT_CONTENTS", {})
        names = (value for key, value in contents.items() if key.startswith("FILE_NAME_") and value.upper().endswith(".TIF"))
        return {self._plain_name(name) for name in names}

    def _plain_name(self, name: str) -> str:
        if not name or Path(name).name != name or not name.isprintable():
            raise DataError(f"{self._path}: {name[:60]!r} is no name of a file beside it. Copy or fetch the product again.")
        return name

    def _text(self, key: str, *, group: str) -> str:
        value = self._groups.get(group, {}).get(key)
        if value is None:
            raise DataError(f"{self._path}: no {key} in {group}. Copy or fetch the product again.")
        return value

    def _number(self, key: str, *, group: str) -> float:
        return finite_number(self._text(key, group=group), key, path=self._path)


def _read_mtl(folder: Path) -> tuple[Path, Mapping[str, Mapping[str, str]]]:
    """The MTL file, and its entries by group. Raises DataError where there is none or it is broken."""
    found = next((path for ending in ("json", "txt") for path in sorted(folder.glob(f"*_MTL.{ending}"))), None)
    if found is None:
        raise DataError(f"{folder}: the product lacks {folder.name}_MTL.json (or _MTL.txt). Copy or fetch it again.")
    return found, kept(found, _groups)


def _groups(path: Path) -> Mapping[str, Mapping[str, str]]:
    text = read_bytes(path, limit=MAX_MTL_BYTES).decode("utf-8-sig", errors="replace")
    groups = dict(_groups_of_json(parse_json(text, str(path)))) if path.suffix == ".json" else _groups_of_text(text)
    if "PRODUCT_CONTENTS" not in groups:
        raise DataError(f"{path}: no group PRODUCT_CONTENTS, which every MTL file of collection 2 has. Copy or fetch the product again.")
    return groups


def _groups_of_json(content: Any, depth: int = 0) -> Iterator[tuple[str, Mapping[str, str]]]:
    if isinstance(content, dict) and depth < NUM_NESTED:
        for key, value in content.items():
            if isinstance(value, dict):
                yield key, {name: str(entry) for name, entry in value.items() if isinstance(entry, str | int | float)}
                yield from _groups_of_json(value, depth + 1)


def _groups_of_text(text: str) -> dict[str, dict[str, str]]:
    groups: dict[str, dict[str, str]] = {}
    inside: list[str] = []
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        key, value = found[1], found[2]
        if key == "GROUP":
            inside.append(value)
        elif key == "END_GROUP":
            inside = inside[:-1]
        elif inside:
            groups.setdefault(inside[-1], {})[key] = value
    return groups
