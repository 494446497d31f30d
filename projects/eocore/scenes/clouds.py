"""Clouds and their shadows, by the class layer that comes with a product."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from rasterio.warp import Resampling

from eocore.data.io.image_files import open_layers, resolve_path
from eocore.data.records import ImageRef
from eocore.errors import ConfigError, DataError
from eocore.scenes.place import Place
from eocore.scenes.warping import find_window, warp
from eocore.sensors.scene import Georeference

Kind = Literal["scl", "qa_pixel"]
KINDS: tuple[Kind, ...] = get_args(Kind)
AUTO = "auto"
SCL_CLEAR = (2, 4, 5, 6, 7, 11)
"""Dark areas, vegetation, bare ground, water, unclassified, snow. Not clear: no data, saturated, cloud shadow, clouds of medium and high
probability, thin cirrus. Source: ESA Sentinel-2 Level-2A Algorithm Theoretical Basis Document, scene classification map."""
QA_NOT_CLEAR = 0b11111
"""Bits 0 to 4: fill, dilated cloud, cirrus, cloud, cloud shadow. Source: USGS Landsat 8-9 Collection 2 Level 2 Science Product Guide
(LSDS-1619), table of QA_PIXEL."""
PATTERNS: Mapping[Kind, tuple[str, ...]] = {
    "scl": ("IMG_DATA/R20m/*_SCL_20m.jp2", "GRANULE/*/IMG_DATA/R20m/*_SCL_20m.jp2"),
    "qa_pixel": ("*_QA_PIXEL.TIF", "*_QA_PIXEL.tif"),
}
"""Where products have the layer, below their folder."""


@dataclass(frozen=True)
class CloudLayer:
    """A file of classes or of bits.

    Attributes:
        kind: what its numbers mean.
        path: of the file.
    """

    kind: Kind
    path: str

    def clear(self, target: Place) -> np.ndarray:
        """(h, w) bool: pixels of a grid that the layer calls clear; none where it has no data, or does not reach.

        Raises:
            DataError: it cannot be read there.
        """
        own = self.place()
        window = find_window(own, target=target, source=self.path)
        if window is None:
            return np.zeros((target.height, target.width), bool)
        file = open_layers(resolve_path(self.path), indexed=True)
        try:
            numbers, valid = file.read(window)
        finally:
            file.close()
        clear = np.isin(numbers[0], SCL_CLEAR) if self.kind == "scl" else numbers[0].astype(np.int64) & QA_NOT_CLEAR == 0
        if valid is not None:
            clear &= valid[0]
        found = warp(clear[None].astype(np.float32), own.part(window), target=target, resampling=Resampling.nearest, source=self.path)
        return np.asarray(found[0] == 1)

    def place(self) -> Place:
        """Where it lies.

        Raises:
            DataError: it cannot be read, does not say where it lies, or holds other numbers than its kind.
        """
        file = open_layers(resolve_path(self.path), indexed=True)
        try:
            grid, dtype, layers = file.grid, file.dtype, len(file.names)
        finally:
            file.close()
        if layers != 1 or dtype.kind not in "ui":
            raise DataError(
                f"{self.path}: {layers} layers of {dtype}; a layer of clouds is one of whole numbers ({self.kind}). Name another."
            )
        if grid is None or not grid.crs:
            raise DataError(f"{self.path} does not say where its pixels lie, so clouds cannot be found by it. Georeference it.")
        a, b, c, d, e, f = grid.transform[:6]
        return Place(*file.size, Georeference(grid.crs, (a, b, c, d, e, f)))


def find_clouds(choice: str, refs: Mapping[str, ImageRef]) -> CloudLayer:
    """The layer that a command line names.

    Args:
        choice: "auto" = that of the first image whose product has one, or KIND=FILE.
        refs: role -> image.

    Raises:
        ConfigError: the choice has another form.
        DataError: no product has one.
    """
    kind, equals, path = choice.partition("=")
    if equals and path:
        found = next((known for known in KINDS if known == kind), None)
        if found is not None:
            return CloudLayer(found, path)
    if choice != AUTO:
        raise ConfigError(f"--clouds {choice}: expected {AUTO}, {' or '.join(f'{known}=FILE' for known in KINDS)}.")
    for ref in refs.values():
        if len(ref.paths) == 1 and Path(ref.paths[0]).is_dir():
            for known, patterns in PATTERNS.items():
                files = [file for pattern in patterns for file in sorted(Path(ref.paths[0]).glob(pattern))]
                if files:
                    return CloudLayer(known, str(files[0]))
    named = ", ".join(path for ref in refs.values() for path in ref.paths[:1])
    raise DataError(
        f"--clouds {AUTO}: no image is the folder of a product that has a layer of clouds ({named}): of Sentinel-2 Level-2A, or Landsat. "
        f"Leave --clouds out, or name the layer to tools/map_scene.py: --clouds {' or '.join(f'{known}=FILE' for known in KINDS)}."
    )
