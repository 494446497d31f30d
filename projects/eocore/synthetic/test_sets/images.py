"""Scenes of the synthetic world as the pictures and files that published test sets consist of."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from eocore.files import write_file, writing
from eocore.synthetic.spectra import OPTICAL_BANDS, SAR_BANDS, digital_numbers, true_colour
from eocore.synthetic.world import CLASSES, CRS, GSD_M, SyntheticScene, make_scene

SAR_LOW_DB, SAR_HIGH_DB = -30.0, 0.0
"""Backscatter shown as black and as white in 8-bit SAR pictures [dB]."""


@dataclass(frozen=True)
class MadeScenes:
    """The scenes that the files are made of, taken in turn.

    Attributes:
        scenes: at least one.
    """

    scenes: tuple[SyntheticScene, ...]

    def __getitem__(self, number: int) -> SyntheticScene:
        return self.scenes[number % len(self.scenes)]

    def __len__(self) -> int:
        return len(self.scenes)


def make_scenes(count: int, *, size: int, seed: int) -> MadeScenes:
    """The first `count` test scenes of the synthetic world."""
    return MadeScenes(tuple(make_scene("test", number, seed=seed, size=size) for number in range(count)))


def rgb_picture(scene: SyntheticScene) -> np.ndarray:
    """(H, W, 3) uint8."""
    return np.asarray(true_colour(scene.optical))


def sar_picture(scene: SyntheticScene) -> np.ndarray:
    """(H, W) uint8: VV between SAR_LOW_DB and SAR_HIGH_DB."""
    fraction = (scene.sar[0] - SAR_LOW_DB) / (SAR_HIGH_DB - SAR_LOW_DB)
    return np.rint(255 * fraction.clip(0, 1)).astype(np.uint8)


def save_picture(path: Path, pixels: np.ndarray) -> None:
    """PNG, JPEG or TIFF, as the name ends."""
    with writing(path, "the picture"):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def save_layers(path: Path, layers: np.ndarray, *, names: Iterable[str] = (), step: int = 1) -> None:
    """GeoTIFF of (C, H, W) layers, every `step`-th pixel of them, with a location on the map."""
    part = layers[:, ::step, ::step]
    count, height, width = part.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": part.dtype.name, "crs": CRS}
    with MemoryFile() as memory:  # GDAL itself says nothing of a full disk when it closes a file
        with memory.open(**profile, transform=from_origin(500_000, 5_400_000, GSD_M * step, GSD_M * step)) as file:
            file.write(part)
            for index, name in enumerate(names, start=1):
                file.set_band_description(index, name)
        write_file(path, memory.read())


def save_bands(folder: Path, scene: SyntheticScene, *, prefix: str) -> None:
    """One GeoTIFF for each Sentinel-2 band at its own resolution of 10, 20 or 60 m, as ESA and BigEarthNet keep them."""
    steps = {"B01": 6, "B09": 6, "B05": 2, "B06": 2, "B07": 2, "B8A": 2, "B11": 2, "B12": 2}
    for band, layer in zip(OPTICAL_BANDS, digital_numbers(scene.optical), strict=True):
        save_layers(folder / f"{prefix}{band}.tif", layer[None].astype(np.uint16), step=steps.get(band, 1))


def save_sar_bands(folder: Path, scene: SyntheticScene, *, prefix: str) -> None:
    """VV and VH [dB], one GeoTIFF each."""
    for band, layer in zip(SAR_BANDS, scene.sar, strict=True):
        save_layers(folder / f"{prefix}{band}.tif", layer[None].astype(np.float32))


def save_json(path: Path, content: Any) -> None:
    """A JSON file."""
    write_file(path, json.dumps(content, indent=0).encode())


def save_lines(path: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """JSON lines."""
    write_file(path, "".join(json.dumps(entry) + "\n" for entry in entries).encode())


def class_name(scene: SyntheticScene) -> str:
    """Name of the class that covers most of the scene."""
    numbers, counts = np.unique(scene.layout.class_map, return_counts=True)
    return CLASSES[int(numbers[counts.argmax()])].name
