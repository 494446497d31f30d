"""A `Scene`: what a reader returns and every later step takes."""

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np
from affine import Affine

from eocore.errors import AlignmentError, BandError, DataError
from eocore.sensors.grid_changes import GridChange
from eocore.sensors.orientation import AS_STORED, Turn

EXACT_PX = 0.1
"""Tie points nearer than this to a grid are written from it, with rounding [px]."""


@dataclass(frozen=True)
class Georeference:
    """Where the pixel grid lies.

    Attributes:
        crs: WKT, "" where the file names none.
        transform: the affine (a, b, c, d, e, f) of rasterio.
        misfit_px: how far from there pixels may lie, since the file gives tie points alone [px]; 0 for a file with a transform.
    """

    crs: str
    transform: tuple[float, float, float, float, float, float]
    misfit_px: float = 0.0

    @property
    def is_exact(self) -> bool:
        """Whether the transform places each pixel."""
        return self.misfit_px <= EXACT_PX


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
        role: what the image is to the model (see `eocore.data.records.ImageRef`), "" where nothing is said.
        time: when it was taken, as an ISO 8601 date or date-time; "" = unknown.
        turn: what was done to the stored pixels so that north is up; masks for the file are turned back.
        size_as_read: (height, width) [px] before the `grid_changes`; None where there are none.
        grid_changes: what was done to the grid after reading, such as flips and crops of an augmentation, in order.
    """

    pixels: np.ndarray
    bands: tuple[str, ...]
    sensor: str
    unit: str
    gsd_m: float = float("nan")
    georeference: Georeference | None = None
    path: str = field(default="", compare=False)
    _: KW_ONLY
    role: str = ""
    time: str = ""
    turn: Turn = AS_STORED
    size_as_read: tuple[int, int] | None = None
    grid_changes: tuple[GridChange, ...] = ()

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
        return replace(self, pixels=self.pixels[index], bands=tuple(bands))


def on_changed_grid(scene: Scene, pixels: np.ndarray, *, change: GridChange) -> Scene:
    """The scene after a change of its grid: pixel size and georeference go along, and masks will.

    Args:
        scene: before.
        pixels: (C, h, w) float32 after the change.
        change: what was done.
    """
    a, b, c, d, e, f = change.to_before(scene.size)
    georeference = scene.georeference
    if georeference is not None:
        moved = (Affine(*georeference.transform) @ Affine(a, b, c, d, e, f))[:6]
        georeference = replace(georeference, transform=(moved[0], moved[1], moved[2], moved[3], moved[4], moved[5]))
    return replace(
        scene,
        pixels=np.ascontiguousarray(pixels),
        gsd_m=scene.gsd_m * float(np.sqrt(abs(a * e - b * d))),
        georeference=georeference,
        size_as_read=scene.size_as_read or scene.size,
        grid_changes=(*scene.grid_changes, change),
    )


class HasRole(Protocol):
    """A scene, or what is known of one before it is read."""

    @property
    def role(self) -> str:
        """What the image is to the model."""


Item = TypeVar("Item", bound=HasRole)


def by_role(scenes: Iterable[Item], *, source: str) -> dict[str, Item]:
    """The scenes of a sample by role, in their order, for a model that takes one image of a role.

    Args:
        scenes: scenes or their headers.
        source: "file:line" or "file#entry" of the sample.

    Raises:
        AlignmentError: several have one role.
    """
    found: dict[str, Item] = {}
    for scene in scenes:
        if scene.role in found:
            raise AlignmentError(
                f"{source}: several images have the role '{scene.role}', but this model takes one image of a role; none is left out "
                "silently. Give it one of them, or choose a model that reads series."
            )
        found[scene.role] = scene
    return found
