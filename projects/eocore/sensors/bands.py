"""The sensors the framework knows, by name: their bands, the unit they are read in, and how a file's numbers become that unit."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from eocore.errors import BandError, ConfigError
from eocore.text import did_you_mean

Unit = Literal["reflectance", "sigma0_db", "uint8", "kelvin"]
RawUnit = Literal["dn", "physical", "power", "db", "uint8"]

NAN = float("nan")
SPEED_OF_LIGHT_M_S = 299_792_458.0
SENTINEL1_FREQUENCY_HZ = 5.405e9
"""Centre frequency of the C-band SAR. Source: ESA Sentinel-1 Product Specification (S1-RS-MDA-52-7441)."""

SENTINEL2_QUANTIFICATION = 10_000
"""Digital number of reflectance 1. Source: ESA Sentinel-2 Products Specification Document, QUANTIFICATION_VALUE."""
SENTINEL2_OFFSET_PB0400_DN = -1_000
"""RADIO_ADD_OFFSET (L1C) and BOA_ADD_OFFSET (L2A) from processing baseline 04.00 on (products made since 25 January 2022, and older
acquisitions made anew as Collection-1). Source: ESA Sentinel-2 Products Specification Document."""


@dataclass(frozen=True)
class Band:
    """One band.

    Attributes:
        name: its name in the sensor; what every other part of the framework asks for.
        centre_nm: centre wavelength [nm], NaN where it is not known.
        gsd_m: ground sampling distance of the instrument [m], NaN where it is not known.
        aliases: other names under which files carry the band.
    """

    name: str
    centre_nm: float
    gsd_m: float
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sensor:
    """One kind of image file: which bands it holds and what its numbers mean.

    Attributes:
        name: the name that configs and `ImageRef.sensor` use.
        bands: in the order in which a file without band names holds them.
        unit: what a `Scene` of this sensor is in: "reflectance" [1], "sigma0_db" [dB], "uint8" (0..255) or "kelvin" [K].
        raw_unit: what the file holds: "dn" (unit = (number + offset_dn) * scale + offset), "physical" (the unit itself), "power" (linear
            backscatter), "db", or "uint8".
        scale: see raw_unit "dn".
        offset: see raw_unit "dn", in the unit.
        offset_dn: see raw_unit "dn", in digital numbers.
        nodata: number that stands for no data, besides what the file itself declares; None = none.
        other_bands: bands that some of its files hold, known by their names alone: a file without band names never holds them.
    """

    name: str
    bands: tuple[Band, ...]
    unit: Unit
    raw_unit: RawUnit
    scale: float = 1.0
    offset: float = 0.0
    offset_dn: int = 0
    nodata: float | None = None
    other_bands: tuple[Band, ...] = ()

    @property
    def all_bands(self) -> tuple[Band, ...]:
        """The bands of a file without band names, then the others."""
        return self.bands + self.other_bands

    @property
    def all_band_names(self) -> tuple[str, ...]:
        """Names of all bands."""
        return tuple(band.name for band in self.all_bands)

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands of a file without band names, in order."""
        return tuple(band.name for band in self.bands)

    def band(self, name: str) -> Band:
        """The band of that name or alias.

        Raises:
            BandError: the sensor has no such band.
        """
        found = self.canonical_name(name)
        if found is None:
            raise BandError(
                f"{self.name} has no band '{name}'.{did_you_mean(name, self.all_band_names)} Bands: {', '.join(self.all_band_names)}."
            )
        return self.all_bands[self.all_band_names.index(found)]

    def canonical_name(self, text: str) -> str | None:
        """The band's own name for `text` (case and leading zeros do not matter; aliases count), None where it names no band."""
        key = _key(text)
        return next((band.name for band in self.all_bands if key in map(_key, (band.name, *band.aliases))), None)


@lru_cache(maxsize=4096)
def _key(text: str) -> str:
    return re.sub(r"0+(?=\d)", "", text.strip().lower(), count=1)


SENTINEL2_L1C_BANDS = (
    Band("B01", 442.7, 60, ("coastal", "aerosols")),
    Band("B02", 492.4, 10, ("blue",)),
    Band("B03", 559.8, 10, ("green",)),
    Band("B04", 664.6, 10, ("red",)),
    Band("B05", 704.1, 20, ("rededge1", "re1")),
    Band("B06", 740.5, 20, ("rededge2", "re2")),
    Band("B07", 782.8, 20, ("rededge3", "re3")),
    Band("B08", 832.8, 10, ("nir", "nearinfrared")),
    Band("B8A", 864.7, 20, ("nir08", "narrownir", "nirnarrow", "rededge4")),
    Band("B09", 945.1, 60, ("nir09", "watervapour", "watervapor")),
    Band("B10", 1373.5, 60, ("cirrus",)),
    Band("B11", 1613.7, 20, ("swir16", "swir1")),
    Band("B12", 2202.4, 20, ("swir22", "swir2")),
)
"""Centre wavelengths of Sentinel-2A. Source: ESA Sentinel-2 MSI User Guide, spectral bands; aliases: STAC eo extension, common names, and
those of the Earth Engine catalogue (Aerosols, Red Edge 1 to 4, Water vapor, SWIR 1, SWIR 2)."""

SENTINEL2_L2A_BANDS = tuple(band for band in SENTINEL2_L1C_BANDS if band.name != "B10")
"""Level 2A leaves out the cirrus band B10, which sees no surface. Source: ESA Sentinel-2 Products Specification Document."""


def _polarisations(*names: str) -> tuple[Band, ...]:
    return tuple(Band(name, SPEED_OF_LIGHT_M_S / SENTINEL1_FREQUENCY_HZ * 1e9, 10) for name in names)


SENTINEL1_BANDS = _polarisations("VV", "VH")
"""Dual polarisation of the IW mode over land; 10 m pixel spacing. Source: ESA Sentinel-1 Product Specification."""
SENTINEL1_OTHER_BANDS = _polarisations("HH", "HV")
"""Polarisations of polar regions and sea ice: another measurement than VV and VH, so never taken without being named. Source: ESA
Sentinel-1 Product Specification, and its observation scenario."""

LANDSAT_OLI_BANDS = (
    Band("B1", 443.0, 30, ("SR_B1", "coastal", "ultrablue")),
    Band("B2", 482.0, 30, ("SR_B2", "blue")),
    Band("B3", 561.5, 30, ("SR_B3", "green")),
    Band("B4", 654.5, 30, ("SR_B4", "red")),
    Band("B5", 865.0, 30, ("SR_B5", "nir08", "nir", "nearinfrared")),
    Band("B6", 1608.5, 30, ("SR_B6", "swir16", "swir1")),
    Band("B7", 2200.5, 30, ("SR_B7", "swir22", "swir2")),
    Band("B8", 589.5, 15, ("pan", "panchromatic")),
    Band("B9", 1373.5, 30, ("cirrus",)),
)
"""Middle of each band's limits, the same for OLI and OLI-2. Source: USGS Landsat 8 Data Users Handbook (LSDS-1574), table of bands."""

LANDSAT_SR_BANDS = LANDSAT_OLI_BANDS[:7]
LANDSAT_ST_BANDS = (Band("B10", 10_895.0, 100, ("ST_B10", "lwir11")),)
"""Band limits 10.60 to 11.19 um. Source: as for LANDSAT_OLI_BANDS."""

DISPLAY_BANDS = (Band("red", NAN, NAN, ("R", "B04")), Band("green", NAN, NAN, ("G", "B03")), Band("blue", NAN, NAN, ("B", "B02")))
"""Colours of a picture made for display: the camera behind it, and with it wavelength and resolution, is not known. Pictures made of bands
may keep their names; B04, B03 and B02 are red, green and blue of Sentinel-2 and of Landsat 8 and 9."""


def _sentinel2(level: str, bands: tuple[Band, ...]) -> tuple[Sensor, ...]:
    """Three entries, since a file does not say which holds: harmonised or older than baseline 04.00, as made since 04.00, reflectance."""
    plain = Sensor(f"sentinel2_{level}", bands, "reflectance", "dn", scale=1 / SENTINEL2_QUANTIFICATION, nodata=0)
    newer = replace(plain, name=f"{plain.name}_pb0400", offset_dn=SENTINEL2_OFFSET_PB0400_DN)
    return plain, newer, Sensor(f"{plain.name}_reflectance", bands, "reflectance", "physical")


def _sentinel1(product: str) -> tuple[Sensor, ...]:
    """In dB, and as linear power. GRD holds sigma0 and RTC gamma0; both are carried under the unit "sigma0_db"."""
    return (
        Sensor(f"sentinel1_{product}", SENTINEL1_BANDS, "sigma0_db", "db", other_bands=SENTINEL1_OTHER_BANDS),
        Sensor(f"sentinel1_{product}_linear", SENTINEL1_BANDS, "sigma0_db", "power", nodata=0, other_bands=SENTINEL1_OTHER_BANDS),
    )


def _landsat(platform: int) -> tuple[Sensor, ...]:
    """Collection 2 of Landsat 8 or 9.

    Level 1: REFLECTANCE_MULT 2.0e-5 and REFLECTANCE_ADD -0.1 give top-of-atmosphere reflectance before the division by the sine of the sun
    elevation (`scaling.correct_sun_elevation`), which no file of a band carries; `..._l1_reflectance` is for files where that is done.
    Source: USGS Landsat 8 Data Users Handbook (LSDS-1574), section 5. Level 2: scale and offset of surface reflectance and surface
    temperature, fill value 0. Source: USGS Landsat 8-9 Collection 2 Level 2 Science Product Guide (LSDS-1619).
    """
    name = f"landsat{platform}"
    return (
        Sensor(f"{name}_l1", LANDSAT_OLI_BANDS, "reflectance", "dn", scale=2.0e-5, offset=-0.1, nodata=0),
        Sensor(f"{name}_l1_reflectance", LANDSAT_OLI_BANDS, "reflectance", "physical"),
        Sensor(f"{name}_l2", LANDSAT_SR_BANDS, "reflectance", "dn", scale=0.0000275, offset=-0.2, nodata=0),
        Sensor(f"{name}_l2_thermal", LANDSAT_ST_BANDS, "kelvin", "dn", scale=0.00341802, offset=149.0, nodata=0),
    )


_SENSORS: dict[str, Sensor] = {
    sensor.name: sensor
    for sensor in (
        *_sentinel2("l1c", SENTINEL2_L1C_BANDS),
        *_sentinel2("l2a", SENTINEL2_L2A_BANDS),
        *_sentinel1("grd"),
        *_sentinel1("rtc"),
        *_landsat(8),
        *_landsat(9),
        Sensor("rgb_uint8", DISPLAY_BANDS, "uint8", "uint8"),
        Sensor("grey_uint8", (Band("grey", NAN, NAN, ("gray",)),), "uint8", "uint8"),
    )
}


def sensor_names() -> tuple[str, ...]:
    """Names of all registered sensors, sorted."""
    return tuple(sorted(_SENSORS))


def get_sensor(name: str) -> Sensor:
    """The sensor registered under `name`.

    Raises:
        BandError: there is none; the message lists the choices.
    """
    sensor = _SENSORS.get(name)
    if sensor is None:
        raise BandError(f"unknown sensor '{name}'.{did_you_mean(name, sensor_names())} Choices: {', '.join(sensor_names())}.")
    return sensor


def register_sensor(sensor: Sensor) -> Sensor:
    """`sensor`, from now on known to `get_sensor` under its name.

    Raises:
        ConfigError: another sensor has the name, or two bands answer to one name.
    """
    if _SENSORS.get(sensor.name, sensor) != sensor:
        raise ConfigError(f"sensor '{sensor.name}' is registered already with other bands or scaling. Choose another name.")
    keys = [_key(name) for band in sensor.all_bands for name in {band.name, *band.aliases}]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice or not sensor.bands:
        raise ConfigError(f"sensor '{sensor.name}': each band needs a name of its own, found {', '.join(twice) or 'no band'}. Rename them.")
    _SENSORS[sensor.name] = sensor
    return sensor
