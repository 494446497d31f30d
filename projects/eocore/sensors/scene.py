"""A `Scene`: what a reader returns and every later step takes."""

from dataclasses import dataclass, field

import numpy as np

from eocore.errors import BandError, DataError


@dataclass(frozen=True)
class Georeference:
    """Where the pixel grid lies. `transform` is the affine (a, b, c, d, e, f) of rasterio; `crs` is WKT."""

    crs: str
    transform: tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Scene:
    """One image of one sensor on one pixel grid.

    Attributes:
        pixels: (C, H, W) float32, in `unit`; NaN where there is no data.
        bands: C band names, in the order of `pixels`.
        sensor: name in the sensor registry (`eocore.sensors.bands`).
        unit: "reflectance" [1], "sigma0_db" [dB], "uint8" (0..255, made for display) or "kelvin" [K].
        gsd_m: ground sampling distance of the grid [m], NaN where unknown.
        georeference: CRS and transform, None for an image without them.
        path: the file it came from, for messages.
    """

    pixels: np.ndarray
    bands: tuple[str, ...]
    sensor: str
    unit: str
    gsd_m: float = float("nan")
    georeference: Georeference | None = None
    path: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.dtype != np.float32:
            raise DataError(f"{self.path}: a scene holds (C, H, W) float32, found {self.pixels.shape} {self.pixels.dtype}.")
        if len(self.bands) != self.pixels.shape[0]:
            raise BandError(f"{self.path}: {self.pixels.shape[0]} layers but {len(self.bands)} band names {self.bands}; give one a layer.")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) [px]."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def select(self, bands: tuple[str, ...]) -> "Scene":
        """The same scene with just these bands, in this order.

        Raises:
            BandError: a band is not in the scene.
        """
        missing = [band for band in bands if band not in self.bands]
        if missing:
            raise BandError(f"{self.path or self.sensor}: no band {', '.join(missing)}; the scene has {', '.join(self.bands)}.")
        index = [self.bands.index(band) for band in bands]
        return Scene(self.pixels[index], tuple(bands), self.sensor, self.unit, self.gsd_m, self.georeference, self.path)
