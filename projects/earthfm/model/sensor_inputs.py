"""Images of the three sensors OlmoEarth reads -> its normalised inputs: bands by name, its statistics, dates, gaps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.data.missing_bands import SPECTRAL_GROUPS, copy_nearest_bands
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.data.normalize import load_computed_config
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.utils.constants import Modality
from torch import Tensor

from eocore.portable.band_rendering import DISPLAY_UNIT, SceneLike

SENSORS = ("sentinel2_l2a", "sentinel1", "landsat")
"""What encoders were trained to read, by the package's names; tokens come in this order."""
STD_MULTIPLIER = 2.0
"""Values from mean - 2 std to mean + 2 std become 0 to 1. Source: olmoearth-pretrain-minimal 0.1.5, `Normalizer`."""
SENTINEL2_DN_PER_REFLECTANCE = 10_000.0
"""Statistics are of digital numbers without offset. Source: ESA Sentinel-2 Products Specification Document, QUANTIFICATION_VALUE."""
LANDSAT_SCALE, LANDSAT_OFFSET = 2.0e-5, -0.1
"""Statistics are of Level-1 digital numbers: reflectance = DN * scale + offset. Source: USGS Landsat 8 Data Users Handbook (LSDS-1574)."""
DISPLAY_MEAN, DISPLAY_STD = 127.5, 63.75
"""Of pictures of 8 bits where nothing was measured: 0..255 becomes 0..1, the range that the sensors' own statistics aim at."""
COLOURS = {"red": "B04", "green": "B03", "blue": "B02"}
"""Bands of pictures made for display, as Sentinel-2 calls them."""
VISIBLE = frozenset(COLOURS.values())
UNITS = {"sentinel2_l2a": ("reflectance", DISPLAY_UNIT), "sentinel1": ("sigma0_db",), "landsat": ("reflectance",)}


class SensorInputs(NamedTuple):
    """Normalised images of B samples: H x W pixels, T dates, h x w patches. A sensor that no sample has is None.

    Attributes:
        timestamps: (B, T, 3) int64 day (1-31), month (0-11), year of each date.
        sentinel2_l2a: (B, H, W, T, 12) float32 in the order of `band_names`; 0 where there is no data.
        sentinel2_l2a_missing: (B, h, w, T) True for patches without data.
        sentinel1: (B, H, W, T, 2).
        sentinel1_missing: (B, h, w, T).
        landsat: (B, H, W, T, 11).
        landsat_missing: (B, h, w, T).
    """

    timestamps: Tensor
    sentinel2_l2a: Tensor | None = None
    sentinel2_l2a_missing: Tensor | None = None
    sentinel1: Tensor | None = None
    sentinel1_missing: Tensor | None = None
    landsat: Tensor | None = None
    landsat_missing: Tensor | None = None

    def sensors(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """(name, pixels, missing) of each sensor that is there, in the order of `SENSORS`."""
        for name in SENSORS:
            pixels, missing = getattr(self, name), getattr(self, f"{name}_missing")
            if pixels is not None:
                yield name, pixels, missing

    def rows(self, index: Tensor) -> "SensorInputs":
        """The samples of these numbers."""
        return SensorInputs(**{name: value[index] for name, value in self._asdict().items() if value is not None})

    def to(self, device: Any) -> "SensorInputs":
        """The same on a device."""
        return SensorInputs(**{name: value.to(device) for name, value in self._asdict().items() if value is not None})


@dataclass(frozen=True)
class Filled:
    """Bands that an image lacks, and what stands for them.

    Attributes:
        sensor: one of `SENSORS`.
        bands: band -> the band it was copied from; "" = 0 after normalisation.
    """

    sensor: str
    bands: Mapping[str, str]


class SensorImage(NamedTuple):
    """One normalised image.

    Attributes:
        pixels: (H, W, C) float32, 0 where there is no data.
        known: (H, W) where any band has data.
        filled: bands that stand in for missing ones.
    """

    pixels: np.ndarray
    known: np.ndarray
    filled: Filled


def band_names(sensor: str) -> tuple[str, ...]:
    """The bands of a sensor as eocore names them, in the order of the encoder's input."""
    names = Modality.get(sensor).band_order
    return tuple(name.upper() for name in names) if sensor == "sentinel1" else tuple(names)


@lru_cache
def statistics(sensor: str) -> tuple[np.ndarray, np.ndarray]:
    """(C,) value that becomes 0 and range that becomes 1, in digital numbers or dB. Source: the package's computed.json."""
    values = load_computed_config()[sensor]
    mean, std = (np.array([values[band][key] for band in Modality.get(sensor).band_order]) for key in ("mean", "std"))
    return mean - STD_MULTIPLIER * std, 2 * STD_MULTIPLIER * std


def display_statistics(mean: Mapping[str, float], std: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """As `statistics`, of Sentinel-2 bands stretched to 8 bits.

    Args:
        mean, std: of bands by name, as measured on the data; of the others `DISPLAY_MEAN` and `DISPLAY_STD`.
    """
    names = band_names("sentinel2_l2a")
    means = np.array([mean.get(name, DISPLAY_MEAN) for name in names])
    deviations = np.array([std.get(name, DISPLAY_STD) for name in names])
    return means - STD_MULTIPLIER * deviations, 2 * STD_MULTIPLIER * deviations


@dataclass(frozen=True)
class Normaliser:
    """Makes inputs of images.

    Attributes:
        version: of the encoder, which decides what stands for missing bands: v1 copies the nearest in wavelength, later ones read 0.
        fill_missing: take images of the visible bands alone too.
        display_mean, display_std: see `display_statistics`.
    """

    version: str
    fill_missing: bool = False
    display_mean: Mapping[str, float] | None = None
    display_std: Mapping[str, float] | None = None

    def __call__(self, scene: SceneLike, sensor: str) -> SensorImage:
        """The image, normalised.

        Args:
            scene: any order of bands; further bands are left out.
            sensor: one of `SENSORS`.

        Raises:
            ValueError: its unit is another, it has none of the sensor's bands, or it has the visible ones alone and `fill_missing` is off.
        """
        if scene.unit not in UNITS[sensor]:
            raise ValueError(
                f"an image for {sensor} is in the unit {scene.unit!r}, expected {' or '.join(UNITS[sensor])}: its statistics would not "
                "fit. Name the sensor that it comes from."
            )
        names = band_names(sensor)
        found = {COLOURS.get(name, name) if scene.unit == DISPLAY_UNIT else name: number for number, name in enumerate(scene.bands)}
        present = [name for name in names if name in found]
        self._check_bands(present, sensor=sensor, scene=scene)
        layers = np.full((*scene.pixels.shape[1:], len(names)), np.nan)
        for name in present:
            layers[..., names.index(name)] = scene.pixels[found[name]]
        raw = _raw_numbers(layers, sensor, unit=scene.unit)
        filled = fill_sources(sensor, present) if self.version == "v1" else dict.fromkeys(set(names) - set(present), "")
        for name, source in filled.items():
            if source:
                raw[..., names.index(name)] = raw[..., names.index(source)]
        return self._normalised(raw, sensor, unit=scene.unit, filled=filled)

    def _check_bands(self, present: Sequence[str], *, sensor: str, scene: SceneLike) -> None:
        names = band_names(sensor)
        if not present:
            raise ValueError(f"an image for {sensor} has the bands {', '.join(scene.bands)}; the encoder reads {', '.join(names)}.")
        if sensor == "sentinel2_l2a" and set(present) <= VISIBLE and not self.fill_missing:
            raise ValueError(
                f"the image has {', '.join(present)} alone; the encoder reads {len(names)} bands of Sentinel-2, and 9 of them would be "
                "made up. Give an image with more bands, or say fill_missing (--fill-missing) to have them filled all the same."
            )

    def _normalised(self, raw: np.ndarray, sensor: str, *, unit: str, filled: Mapping[str, str]) -> SensorImage:
        missing = np.isnan(raw)
        known = ~missing.all(-1)
        gaps = missing & known[..., None]
        if self.version == "v1" and gaps[..., [name not in filled for name in band_names(sensor)]].any():
            raw, missing = copy_nearest_bands(sensor, raw, missing)
        display = unit == DISPLAY_UNIT
        low, extent = display_statistics(self.display_mean or {}, self.display_std or {}) if display else statistics(sensor)
        pixels = np.where(missing, 0.0, (raw - low) / extent).astype(np.float32)
        return SensorImage(pixels, known, Filled(sensor, dict(filled)))


def fill_sources(sensor: str, present: Sequence[str]) -> dict[str, str]:
    """Missing band -> the present one nearest in wavelength, the shorter of two as near; "" where its group has none.

    Source: olmoearth-pretrain-minimal 0.1.5, `copy_nearest_bands`, for whole bands.
    """
    sources = dict.fromkeys((name for name in band_names(sensor) if name not in present), "")
    for group in SPECTRAL_GROUPS.get(sensor, ()):
        there = [name for name in group if name in present]
        for name in sources:
            if name in group and there:
                sources[name] = min(there, key=lambda other: (abs(group[other] - group[name]), group[other]))
    return sources


def _raw_numbers(layers: np.ndarray, sensor: str, *, unit: str) -> np.ndarray:
    """What the statistics are of: digital numbers, dB, or the 8 bits of a picture."""
    if unit == DISPLAY_UNIT or sensor == "sentinel1":
        return layers
    return layers * SENTINEL2_DN_PER_REFLECTANCE if sensor == "sentinel2_l2a" else (layers - LANDSAT_OFFSET) / LANDSAT_SCALE


def timestamp(time: str, *, month_without_time: int) -> tuple[int, int, int]:
    """(day, month from 0 on, year) of an ISO 8601 date or date-time.

    Args:
        time: "" = unknown.
        month_without_time: 1 to 12, taken where it is unknown, with day 1 of year 0.
    """
    if not time:
        return 1, month_without_time - 1, 0
    date = datetime.fromisoformat(time)
    return date.day, date.month - 1, date.year


def stack_images(images: Mapping[str, Sequence[tuple[str, SensorImage]]], *, patch_size: int, month_without_time: int) -> SensorInputs:
    """Inputs of one sample (B = 1), whose dates are those of all sensors together.

    Args:
        images: sensor -> (time, image) of each of its images, all of one size.
        patch_size: side of a patch [px].
        month_without_time: see `timestamp`.

    Raises:
        ValueError: sizes differ, or are no multiple of the patch size; or two images of a sensor have one time.
    """
    sizes = {image.pixels.shape[:2] for series in images.values() for _, image in series}
    if len(sizes) != 1 or any(side % patch_size for size in sizes for side in size):
        raise ValueError(
            f"images of {' and '.join(f'{height} x {width} px' for height, width in sorted(sizes))}: all of a sample must have one size, a "
            f"multiple of the patch size {patch_size} px. Set image_size and fit in the processor, or another patch_size."
        )
    times = sorted({time for series in images.values() for time, _ in series})
    stamps = torch.tensor([[timestamp(time, month_without_time=month_without_time) for time in times]])
    fields = {
        name: part
        for sensor, series in images.items()
        for name, part in _series(sensor, series, times=times, patch_size=patch_size).items()
    }
    return SensorInputs(timestamps=stamps, **fields)


def _series(sensor: str, series: Sequence[tuple[str, SensorImage]], *, times: Sequence[str], patch_size: int) -> dict[str, Tensor]:
    if len({time for time, _ in series}) < len(series):
        raise ValueError(f"several images for {sensor} have one time; a series needs a time for each of them.")
    by_time = dict(series)
    first = series[0][1]
    empty = SensorImage(np.zeros_like(first.pixels), np.zeros_like(first.known), first.filled)
    chosen = [by_time.get(time, empty) for time in times]
    known = np.stack([image.known for image in chosen], axis=-1)
    height, width, count = known.shape
    blocks = known.reshape(height // patch_size, patch_size, width // patch_size, patch_size, count)
    pixels = torch.from_numpy(np.stack([image.pixels for image in chosen], axis=2))
    return {sensor: pixels[None], f"{sensor}_missing": torch.from_numpy(~blocks.any(axis=(1, 3)))[None]}


def join_samples(samples: Sequence[SensorInputs]) -> SensorInputs:
    """One batch; where samples differ in sensors, dates or size, patches without data fill up."""
    parts = {name: [getattr(sample, name) for sample in samples] for name in SENSORS}
    patches = {name: [getattr(sample, f"{name}_missing") for sample in samples] for name in SENSORS}
    dates = max(sample.timestamps.shape[1] for sample in samples)
    fields: dict[str, Tensor] = {"timestamps": torch.cat([_last_repeated(sample.timestamps, dates) for sample in samples])}
    sizes = [
        (*part.shape[1:3], *lacks.shape[1:3])
        for name in SENSORS
        for part, lacks in zip(parts[name], patches[name], strict=True)
        if part is not None
    ]
    height, width, rows, columns = (max(side) for side in zip(*sizes, strict=True))
    for name in SENSORS:
        if any(part is not None for part in parts[name]):
            shape = (height, width, dates, len(band_names(name)))
            fields[name] = torch.cat([_filled_up(part, shape, fill=0.0) for part in parts[name]])
            fields[f"{name}_missing"] = torch.cat([_filled_up(lacks, (rows, columns, dates), fill=True) for lacks in patches[name]])
    return SensorInputs(**fields)


def _last_repeated(stamps: Tensor, count: int) -> Tensor:
    """(1, count, 3): the dates, then the last one again, of which nothing is read."""
    return torch.cat([stamps, stamps[:, -1:].expand(-1, count - stamps.shape[1], -1)], dim=1)


def _filled_up(value: Tensor | None, shape: tuple[int, ...], *, fill: float | bool) -> Tensor:
    """(1, *shape) with the value in the first positions of each dimension."""
    kind = torch.bool if isinstance(fill, bool) else torch.float32
    whole = torch.full((1, *shape), fill, dtype=kind)
    if value is not None:
        whole[tuple(slice(0, side) for side in value.shape)] = value
    return whole
