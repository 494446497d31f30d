"""Which sensor the images of a group are of: what the user says, else what headers and numbers leave as the only reading."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eocore.data.io.readers import read_scene
from eocore.data.records import ImageRef
from eocore.errors import ConfigError, DataError
from eocore.onboarding.choices import DatasetChoices, Findings, counted_layers
from eocore.onboarding.images import FoundImage
from eocore.sensors.bands import SENTINEL2_OFFSET_PB0400_DN, SENTINEL2_QUANTIFICATION, Sensor, get_sensor, sensor_names
from eocore.sensors.scene import Scene

MOST_LOOKED_AT = 6
"""Images of a group whose numbers are read."""
LOOKED_AT_PX = 512
"""Longest side of the part of each that is read [px]."""
PICTURES = {1: "grey_uint8", 3: "rgb_uint8"}
TELLING_COUNTS = (2, 12, 13)
"""Numbers of layers without names that one kind of sensor alone has: Sentinel-1, Sentinel-2 L2A and L1C."""
ROLES = {"uint8": "rgb", "reflectance": "multispectral", "sigma0_db": "sar", "kelvin": "thermal"}
"""Unit -> role."""
RADAR_WORDS = re.compile(r"(?:^|[^a-z])(?:sar|s1|sentinel1|sentinel-1|s1grd|s1rtc|radar|vv|vh|rtc|grd)(?:[^a-z]|$)", re.IGNORECASE)
ROLE_OF_TRIAL = "trial"
UNNAMED = "without names"
BELOW_OFFSET = 0.8 * abs(SENTINEL2_OFFSET_PB0400_DN) / SENTINEL2_QUANTIFICATION
"""Numbers, as reflectance without an offset, that ground seen with the offset of baseline 04.00 never has: they would mean -0.02, the most
that atmospheric correction overshoots by (`eocore.sensors.ranges.LOWEST_REFLECTANCE`)."""
DARK_SHARE = 0.01
WORDS = {"l1c": re.compile(r"l1c", re.IGNORECASE), "l2a": re.compile(r"l2a", re.IGNORECASE), "rtc": re.compile(r"rtc", re.IGNORECASE),
         "grd": re.compile(r"grd", re.IGNORECASE), "landsat8": re.compile(r"lc0?8|landsat.?8", re.IGNORECASE),
         "landsat9": re.compile(r"lc0?9|landsat.?9", re.IGNORECASE)}  # fmt: skip
"""Part of a sensor's name -> words in the path of its files."""


@dataclass(frozen=True)
class SensorChoice:
    """What a group is read as.

    Attributes:
        sensor: name in the sensor registry.
        role: what its images are to the model.
        bands: names of its layers where they deviate from the sensor's own; () = as the files say.
    """

    sensor: str
    role: str
    bands: tuple[str, ...] = ()


def choose_sensor(label: str, images: Sequence[FoundImage], *, root: Path, choices: DatasetChoices, findings: Findings) -> SensorChoice:
    """What a group of images is read as.

    Args:
        label: of the group.
        images: of one kind.
        root: folder of their paths.
        choices: of the user, which go first.
        findings: takes what was told from files.

    Raises:
        ConfigError: the files do not tell, or leave several readings.
    """
    bands = choices.bands.get(label, ())
    named = choices.sensors.get(label)
    if named:
        sensor, why = get_sensor(named), ""
        _look(images, sensor.name, bands=bands, root=root)
    else:
        sensor, why = _tell(label, images, bands=bands, root=root, findings=findings)
        findings.guessed.append(f"{label}: sensor {sensor.name} ({why}); --sensor {label}=NAME names another")
    role = choices.roles.get(label) or _role(label, sensor)
    return SensorChoice(sensor.name, role, bands)


def _role(label: str, sensor: Sensor) -> str:
    if sensor.name != PICTURES[1]:
        return ROLES[sensor.unit]
    if RADAR_WORDS.search(label):
        return "sar"
    raise ConfigError(
        f"{label}: grey pictures of 8 bits, which may be radar or one optical band. Say what they are to the model: --role {label}=sar; or "
        f"convert them to RGB, or leave them out with --leave-out {label}."
    )


def _tell(label: str, images: Sequence[FoundImage], *, bands: tuple[str, ...], root: Path, findings: Findings) -> tuple[Sensor, str]:
    """The sensor, and what tells it."""
    first = images[0]
    if first.sensor:
        return get_sensor(first.sensor), "the product's metadata"
    count = counted_layers(bands, len(first.names))
    if np.dtype(first.dtype).itemsize == 1:
        if count not in PICTURES:
            raise _undecided(label, f"{count} layers of {first.dtype} are no picture")
        return get_sensor(PICTURES[count]), f"{count} layers of 8 bits are a picture"
    if not bands and _layers(first) == UNNAMED and count not in TELLING_COUNTS:
        raise _undecided(label, f"{count} layers of {first.dtype} without names tell no sensor")
    readable = {
        name: scenes
        for name in sensor_names()
        if get_sensor(name).unit != "uint8" and (scenes := _try(images, name, bands=bands, root=root))
    }
    if not readable:
        raise _undecided(label, f"{len(first.names)} layers of {first.dtype} ({_layers(first)}) are read as no known sensor")
    kept = _without_offset_doubt(label, readable, root=root)
    alike = {_meaning(get_sensor(name)) for name in kept}
    if len(alike) > 1:
        raise _undecided(label, f"{len(first.names)} layers of {first.dtype} ({_layers(first)}) may be read in several ways", names=kept)
    name = _by_words(kept, f"{root.name}/{first.path}")
    if len(kept) > 1:
        others = ", ".join(other for other in kept if other != name)
        findings.unsure.append(f"{label}: {name} is read as {others} would be; --sensor {label}=NAME writes another name into the config")
    _check_unnamed_radar(label, readable[name], images=images, findings=findings)
    return get_sensor(name), f"{count} layers of {first.dtype}, {_layers(first)}, and their numbers"


def _layers(image: FoundImage) -> str:
    named = [name for name in image.names if name]
    return ", ".join(named[:4]) + (", ..." if len(named) > 4 else "") if named and len(set(named)) == len(named) else UNNAMED


def _try(images: Sequence[FoundImage], sensor: str, *, bands: tuple[str, ...], root: Path) -> list[Scene]:
    """Scenes of some images as that sensor; none where one of them cannot be read so."""
    try:
        return _look(images, sensor, bands=bands, root=root)
    except DataError:
        return []


def _look(images: Sequence[FoundImage], sensor: str, *, bands: tuple[str, ...], root: Path) -> list[Scene]:
    """Scenes of some images of a group, of each the middle. Raises DataError where they are not of that sensor."""
    step = max(1, len(images) // MOST_LOOKED_AT)
    scenes = []
    for image in images[::step][:MOST_LOOKED_AT]:
        height, width = (min(side, LOOKED_AT_PX) for side in image.size)
        window = ((image.size[0] - height) // 2, (image.size[1] - width) // 2, height, width)
        ref = ImageRef(ROLE_OF_TRIAL, sensor, (str(root / image.path),), bands=bands)
        scenes.append(read_scene(ref, window=window))
    return scenes


def _without_offset_doubt(label: str, readable: dict[str, list[Scene]], *, root: Path) -> list[str]:
    """The sensors that remain once the numbers have told whether they hold the offset of Sentinel-2's baseline 04.00, where they can."""
    kept = list(readable)
    for name in readable:
        newer = f"{name}_pb0400"
        if newer in kept and _has_dark_ground(readable[name]):
            kept.remove(newer)
    return kept


def _has_dark_ground(scenes: Sequence[Scene]) -> bool:
    """Whether a share of some band, read without an offset, is darker than any ground is with it."""
    bands = [pixels[np.isfinite(pixels)] for scene in scenes for pixels in scene.pixels]
    return any(band.size and (band < BELOW_OFFSET).mean() > DARK_SHARE for band in bands)


def _meaning(sensor: Sensor) -> tuple[object, ...]:
    """What decides how numbers are read."""
    return sensor.unit, sensor.raw_unit, sensor.scale, sensor.offset, sensor.offset_dn


def _by_words(names: Sequence[str], path: str) -> str:
    """The sensor whose level or platform the path names; else the first, Sentinel-2 L2A and Sentinel-1 GRD before others."""
    said = [part for part, words in WORDS.items() if words.search(path)]
    fitting = [name for name in names if any(part in name for part in said)]
    preferred = [name for name in names if name in ("sentinel2_l2a", "sentinel2_l2a_reflectance", "sentinel1_grd", "sentinel1_grd_linear")]
    return (fitting or preferred or list(names))[0]


def _check_unnamed_radar(label: str, scenes: Sequence[Scene], *, images: Sequence[FoundImage], findings: Findings) -> None:
    """Raise ConfigError if layers without names are in another order than VV, VH: cross-polarised backscatter is the weaker one."""
    if scenes[0].bands != ("VV", "VH") or _layers(images[0]) != UNNAMED:
        return
    first, second = (float(np.mean([np.nanmean(scene.pixels[layer]) for scene in scenes])) for layer in (0, 1))
    if first <= second:
        raise _undecided(label, f"two layers without names, of which the first ({first:.1f} dB) is not stronger than the second")
    findings.unsure.append(
        f"{label}: its two layers have no names; the first is stronger ({first:.1f} and {second:.1f} dB on average), so they are taken for "
        f"VV, VH; --bands {label}=VH,VV says otherwise"
    )


def _undecided(label: str, found: str, *, names: Sequence[str] = ()) -> ConfigError:
    """The error for a group whose sensor is not told."""
    between = f" ({', '.join(names)})" if names else ""
    return ConfigError(
        f"{label}: {found}{between}; a wrong one would mistake bands or scale numbers wrongly. Name it: --sensor {label}="
        f"{names[0] if names else 'NAME'}, with --bands {label}=B02,B03,... where the layers are not the sensor's own, or leave the images "
        f"out: --leave-out {label}. Sensors: {', '.join(sensor_names())}."
    )
