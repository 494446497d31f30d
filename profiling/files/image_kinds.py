"""Image files as trainings read them, made up: pictures, twelve bands of Sentinel-2, two of Sentinel-1."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from PIL import Image
from rasterio.transform import from_origin

from eocore.data.records import ImageRef
from eocore.portable.vision_layout import VisionOptions
from eocore.sensors.bands import get_sensor

PICTURE_PX, RASTER_PX, TILE_PX = 1024, 512, 448
OPTICAL, RADAR, PICTURE = "sentinel2_l2a", "sentinel1_grd", "rgb_uint8"
ALL_BANDS = tuple(band.name for band in get_sensor(OPTICAL).bands)
TRUE_COLOUR = ("B04", "B03", "B02")
REFLECTANCE = (0.0, 0.5)
"""What is shown as black and white [1]."""
BACKSCATTER_DB = (-28.0, 2.0)
TEXTURE_PX = (256, 64, 16, 4)
"""Sizes of the structures of a made-up image: large ones compress, small ones do not."""


@dataclass(frozen=True, kw_only=True)
class ImageKind:
    """A kind of file, and what a model is shown of it.

    Attributes:
        name: of the kind.
        sensor: of the registry.
        size_px: side of the image.
        shown: bands that the model is shown, in order.
        low, high: values in the sensor's unit that are shown as 0 and 255.
        scale: what a stored number is in that unit.
        ending: of the file.
        left_out: the others are named to the reader as not to be read; else it reads them too.
        options: of the file's writer.
    """

    name: str
    sensor: str
    size_px: int
    shown: tuple[str, ...]
    low: float = 0.0
    high: float = 255.0
    scale: float = 1.0
    ending: str = ".tif"
    left_out: bool = False
    options: dict[str, Any]

    @property
    def bands(self) -> tuple[str, ...]:
        """All bands of the file, in order."""
        return tuple(band.name for band in get_sensor(self.sensor).bands)

    @property
    def indexes(self) -> list[int]:
        """Layers of the shown bands, counted from 1."""
        return [self.bands.index(name) + 1 for name in self.shown]

    def vision(self, tile_px: int = TILE_PX) -> VisionOptions:
        """The processor's options that show these bands as one tile."""
        stretch = {"method": "range", "low": self.low, "high": self.high}
        rule = {"views": [list(self.shown)], "stretch": stretch}
        return VisionOptions(tile_size=tile_px, max_tiles=1, num_channels=len(self.shown), presentation={"image": rule})

    def reference(self, path: Path) -> ImageRef:
        """What a record says of such a file."""
        named = tuple(name if name in self.shown else "-" for name in self.bands) if self.left_out else ()
        return ImageRef("image", self.sensor, (str(path),), bands=named)

    def write(self, folder: Path, *, size_px: int | None = None) -> Path:
        """Writes such a file; returns its path."""
        side = size_px or self.size_px
        path = folder / (self.name.replace(" ", "_").replace(",", "") + self.ending)
        values = _texture(len(self.bands), side)
        if self.sensor == PICTURE:
            Image.fromarray((values * 255).astype(np.uint8).transpose(1, 2, 0)).save(path, **self.options)
            return path
        numbers = _optical(values) if self.sensor == OPTICAL else (BACKSCATTER_DB[0] + 25 * values).astype(np.float32)
        shape = {"count": len(numbers), "height": side, "width": side, "dtype": numbers.dtype.name}
        place = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_400_000, 10, 10)}
        with rasterio.open(path, "w", driver="GTiff", **shape, **place, **self.options) as file:
            file.write(numbers)
            file.descriptions = self.bands
        return path


def _texture(count: int, side: int) -> np.ndarray:
    """(count, side, side) in 0..1: structures of several sizes, alike in all layers, with little noise of each."""
    random = torch.Generator().manual_seed(0)
    total = torch.rand(count, 1, side, side, generator=random) * 0.1
    for size in TEXTURE_PX:
        cells = max(side // size, 2)
        common = torch.rand(1, 1, cells, cells, generator=random) + 0.3 * torch.rand(count, 1, cells, cells, generator=random)
        total = total + size**0.25 * torch.nn.functional.interpolate(common, (side, side), mode="bicubic", align_corners=False)
    low, high = total.amin(), total.amax()
    return ((total - low) / (high - low))[:, 0].numpy()


def _optical(values: np.ndarray) -> np.ndarray:
    """Digital numbers of Sentinel-2, each band at a level of its own."""
    levels = np.linspace(0.6, 1.2, len(values))[:, None, None]
    return (300 + 3500 * levels * values).astype(np.uint16)


_TILED = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
_PICTURE = {"sensor": PICTURE, "size_px": PICTURE_PX, "shown": ("red", "green", "blue")}
_OPTICAL = {"sensor": OPTICAL, "size_px": RASTER_PX, "low": REFLECTANCE[0], "high": REFLECTANCE[1], "scale": 1e-4}
_PIXEL, _BAND = {**_TILED, "interleave": "pixel"}, {**_TILED, "interleave": "band"}
_make: Callable[..., ImageKind] = ImageKind
KINDS = (
    _make(name="RGB PNG", ending=".png", options={"compress_level": 6}, **_PICTURE),
    _make(name="RGB JPEG", ending=".jpg", options={"quality": 90}, **_PICTURE),
    _make(name="12 bands, 3 named", shown=TRUE_COLOUR, left_out=True, options=_PIXEL, **_OPTICAL),
    _make(name="12 bands by band, 3 named", shown=TRUE_COLOUR, left_out=True, options=_BAND, **_OPTICAL),
    _make(name="12 bands, 3 shown", shown=TRUE_COLOUR, options=_PIXEL, **_OPTICAL),
    _make(name="12 bands, all shown", shown=ALL_BANDS, options=_PIXEL, **_OPTICAL),
    _make(
        name="SAR, 2 bands float32",
        sensor=RADAR,
        size_px=RASTER_PX,
        shown=("VV", "VH"),
        low=BACKSCATTER_DB[0],
        high=BACKSCATTER_DB[1],
        options=_PIXEL,
    ),
)
"""Pictures with Pillow's defaults of PNG and JPEG's quality 90; GeoTIFFs in blocks of 256 px, deflate, pixel by pixel as GDAL writes them
by default, or band by band."""
