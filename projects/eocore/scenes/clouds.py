"""Clouds and their shadows, by the class layer that comes with a product."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from rasterio.warp import Resampling

from eocore.data.io.image_files import open_layers, resolve_path
from eocore.data.io.layer_file import LayerFile
from eocore.data.io.remote_files import is_remote, open_remote, without_query
from eocore.data.records import ImageRef
from eocore.errors import ConfigError, DataError
from eocore.portable.series import BEFORE
from eocore.predict.image_files import ClassLayers
from eocore.scenes.place import Place
from eocore.scenes.warping import find_window, warp
from eocore.sensors.scene import Georeference

Kind = Literal["scl", "qa_pixel"]
KINDS: tuple[Kind, ...] = get_args(Kind)
AUTO = "auto"
SCL_CLEAR = (2, 4, 5, 6, 7, 11)
"""Dark areas, vegetation, bare ground, water, unclassified, snow. Not clear: no data, saturated, cloud shadow, clouds of medium and high
probability, thin cirrus. Source: ESA Sentinel-2 Level-2A Algorithm Theoretical Basis Document, scene classification map."""
SCL_LARGEST, SCL_NO_DATA = 11, 255
"""Snow or ice, the last class; what files that were cut or warped hold where the product has nothing."""
QA_BYTES = 2
"""Of a number of QA_PIXEL."""
QA_NOT_CLEAR = 0b11111
"""Bits 0 to 4: fill, dilated cloud, cirrus, cloud, cloud shadow. Source: USGS Landsat 8-9 Collection 2 Level 2 Science Product Guide
(LSDS-1619), table of QA_PIXEL."""
PATTERNS: Mapping[Kind, tuple[str, ...]] = {
    "scl": ("IMG_DATA/R20m/*_SCL_20m.jp2", "GRANULE/*/IMG_DATA/R20m/*_SCL_20m.jp2"),
    "qa_pixel": ("*_QA_PIXEL.TIF", "*_QA_PIXEL.tif"),
}
"""Where products have the layer, below their folder."""
FORMS = [f"{kind}=FILE" for kind in KINDS]
REMEDY = f"Leave --clouds out, or name the layer to tools/map_scene.py, scene by scene: --clouds {' or '.join(FORMS)}."


@dataclass(frozen=True)
class CloudLayer:
    """A file of classes or of bits.

    Attributes:
        kind: what its numbers mean.
        path: of the file.
        remote: the path may be an address.
    """

    kind: Kind
    path: str
    remote: bool = False

    def clear(self, target: Place) -> np.ndarray:
        """(h, w) bool: pixels of a grid that the layer calls clear; none where it has no data, or does not reach.

        Raises:
            DataError: it cannot be read there.
        """
        name, file = without_query(self.path), self._open()
        try:
            own = _place_of(file, self.kind, name=name)
            window = find_window(own, target=target, source=name)
            if window is None:
                return np.zeros((target.height, target.width), bool)
            numbers, valid = file.read(window)
        finally:
            file.close()
        if self.kind == "scl" and ((numbers > SCL_LARGEST) & (numbers != SCL_NO_DATA)).any():
            raise DataError(f"{name}: holds numbers up to {numbers.max()}, the classes of SCL are 0 to {SCL_LARGEST}. Name another layer.")
        clear = np.isin(numbers[0], SCL_CLEAR) if self.kind == "scl" else numbers[0].astype(np.int64) & QA_NOT_CLEAR == 0
        if valid is not None:
            clear &= valid[0]
        found = warp(clear[None].astype(np.float32), own.part(window), target=target, resampling=Resampling.nearest, source=name)
        return np.asarray(found[0] == 1)

    def check_reaches(self, scene: Place) -> None:
        """Raise DataError if the layer lies elsewhere than a scene, of which nothing would be clear; or if it is none, see `place`."""
        own, name = self.place(), without_query(self.path)
        if find_window(own, target=scene, source=name) is None:
            raise DataError(f"{name}: the layer of clouds shows nothing of the scene, so no pixel would be clear. Name that of the scene.")

    def place(self) -> Place:
        """Where it lies.

        Raises:
            DataError: it cannot be read, does not say where it lies, or holds other numbers than its kind.
        """
        file = self._open()
        try:
            return _place_of(file, self.kind, name=without_query(self.path))
        finally:
            file.close()

    def _open(self) -> LayerFile:
        if self.remote and is_remote(self.path):
            return open_remote(self.path, indexed=True)
        return open_layers(resolve_path(self.path), indexed=True)


def _place_of(file: LayerFile, kind: Kind, *, name: str) -> Place:
    grid, layers = file.grid, len(file.names)
    if layers != 1 or file.dtype.kind not in "ui":
        raise DataError(f"{name}: {layers} layers of {file.dtype}; a layer of clouds is one of whole numbers ({kind}). Name another.")
    if kind == "qa_pixel" and file.dtype.itemsize < QA_BYTES:
        raise DataError(f"{name}: holds {file.dtype}, the bits of QA_PIXEL are 16. Name another layer, or its kind (scl=FILE).")
    if grid is None or not grid.crs:
        raise DataError(f"{name} does not say where its pixels lie, so clouds cannot be found by it. Georeference it.")
    a, b, c, d, e, f = grid.transform[:6]
    return Place(*file.size, Georeference(grid.crs, (a, b, c, d, e, f)))


def find_clouds(choice: str, refs: Mapping[str, ImageRef], *, known: Mapping[str, ClassLayers] | None = None) -> tuple[CloudLayer, ...]:
    """The layers that a command line names: one, or one for each date of a pair. What any of them does not call clear is left out.

    Args:
        choice: "auto" = that of the first image of a date that has one, or KIND=FILE.
        refs: role -> image.
        known: role -> (kind, file) of layers that are known to belong to an image, as `ImageFile.class_layers` has them.

    Raises:
        ConfigError: the choice has another form.
        DataError: an image has several, or none of a date has one.
    """
    kind, equals, path = choice.partition("=")
    if equals and path:
        found = next((each for each in KINDS if each == kind), None)
        if found is not None:
            return (CloudLayer(found, path),)
    if choice != AUTO:
        raise ConfigError(f"--clouds {choice}: expected {AUTO}, {' or '.join(FORMS)}.")
    dates = [[role for role, ref in refs.items() if (ref.time == BEFORE) is earlier] for earlier in (True, False)]
    return tuple(_of_date({role: refs[role] for role in roles}, known or {}) for roles in dates if roles)


def _of_date(refs: Mapping[str, ImageRef], known: Mapping[str, ClassLayers]) -> CloudLayer:
    for role, ref in refs.items():
        layers = _stated(ref, known.get(role, ())) or _of_product(ref)
        if len(layers) > 1:
            raise DataError(
                f"--clouds {AUTO}: {without_query(ref.paths[0])} has {len(layers)} layers of clouds "
                f"({', '.join(without_query(layer.path) for layer in layers)}), and which of them counts is not clear. {REMEDY}"
            )
        if layers:
            return layers[0]
    named = ", ".join(without_query(path) for ref in refs.values() for path in ref.paths[:1])
    raise DataError(
        f"--clouds {AUTO}: no image ({named}) has a layer of clouds that is known: it is neither the folder of a product of Sentinel-2 "
        f"Level-2A or Landsat, nor of a STAC item with an asset of that kind ({', '.join(KINDS)}). {REMEDY}"
    )


def _stated(ref: ImageRef, layers: ClassLayers) -> list[CloudLayer]:
    return [CloudLayer(each, path, ref.remote) for kind, path in layers for each in KINDS if each == kind]


def _of_product(ref: ImageRef) -> list[CloudLayer]:
    """The first layer of a product as delivered, where the image is the folder of one."""
    if len(ref.paths) != 1 or is_remote(ref.paths[0]) or not Path(ref.paths[0]).is_dir():
        return []
    found = [
        CloudLayer(kind, str(file)) for kind, names in PATTERNS.items() for name in names for file in sorted(Path(ref.paths[0]).glob(name))
    ]
    return found[:1]
