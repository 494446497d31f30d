"""The images of one scene, read window by window on one pixel grid."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from eocore.data.io.readers import read_scene, scene_georeference, scene_header
from eocore.data.records import ImageRef, Record, Window
from eocore.errors import AlignmentError, DataError, NoDataError
from eocore.evaluate.protocols import Sample
from eocore.scenes.area import Area
from eocore.scenes.clouds import CloudLayer
from eocore.scenes.place import Place
from eocore.scenes.warping import read_warped
from eocore.sensors.scene import Scene

MASKS_HELD = 64
"""Windows of which it is known what is left out: those that wait for the model, and a few more."""


@dataclass(frozen=True)
class SceneSource:
    """Images of one place.

    Attributes:
        refs: role -> image; a `window` of theirs is the part that is mapped.
        area: what is mapped of it; None = all.
        grid: pixels on which all images are put; None = those that they share.
        clouds: what tells clear pixels, of which those are mapped that all of them call clear; none = all.
    """

    refs: Mapping[str, ImageRef]
    area: Area | None = None
    grid: Place | None = None
    clouds: tuple[CloudLayer, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Without what each process finds out for itself."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def places(self) -> dict[str, Place]:
        """Role -> where its image lies.

        Raises:
            DataError: an image cannot be read, or does not say where it lies.
        """
        return {role: _place_of(ref) for role, ref in self.refs.items()}

    def place(self) -> Place:
        """Of all images.

        Raises:
            DataError: as `places`.
            AlignmentError: they lie on different pixel grids, and none is chosen.
        """
        if self.grid is not None:
            return self.grid
        first, own = next(iter(self.places.items()))
        for role, other in self.places.items():
            if not own.same_grid(other):
                raise AlignmentError(
                    f"{self.refs[role].paths[0]} ({role}: {other}) does not lie on the pixel grid of {self.refs[first].paths[0]} ({first}: "
                    f"{own}): a window would show different ground in both. Choose the grid on which they are put: "
                    f"--grid {shlex.quote(first)}."
                )
        return own

    def read(self, window: Window) -> "Sample | None":
        """A window of all images; None where one of them has no data there, or nothing of the window is to be mapped.

        Raises:
            DataError: an image cannot be read there.
        """
        if not self._chosen(window).any():
            return None
        scenes = []
        for role, ref in self.refs.items():
            scene = self._read(role, ref, window=window)
            if scene is None:
                return None  # a model that is given two sensors is not given one alone: the map ends where the first of them does
            scenes.append(scene)
        parts = tuple(_part(ref, window) for ref in self.refs.values()) if self.grid is None else tuple(self.refs.values())
        source = f"{parts[0].paths[0]} at {window}"
        return Record(sample_id=f"{window[0]}_{window[1]}", images=parts, source=source), tuple(scenes)

    def has_data(self, sample: "Sample", window: Window) -> np.ndarray:
        """(H, W) bool: where every image of a window has data in any band, of what is to be mapped."""
        _, scenes = sample
        found: np.ndarray = np.logical_and.reduce([np.isfinite(scene.pixels).any(axis=0) for scene in scenes])
        return found & self._chosen(window)

    def _read(self, role: str, ref: ImageRef, *, window: Window) -> Scene | None:
        if self.grid is not None and not self.places[role].same_grid(self.grid):
            return read_warped(ref, self.places[role], target=self.grid.part(window))
        try:
            return read_scene(_part(ref, window))
        except NoDataError:
            return None

    @cached_property
    def _chosen(self) -> Callable[[Window], np.ndarray]:
        """Window -> (H, W) bool: what is to be mapped. It is asked for twice, by what reads and by what keeps scores."""
        return lru_cache(maxsize=MASKS_HELD)(self._choose)

    def _choose(self, window: Window) -> np.ndarray:
        there = np.ones(window[2:], bool)
        if self.area is None and not self.clouds:
            return there
        target = self._grid.part(window)
        if self.area is not None:
            there &= self.area.inside(target.georeference.transform, window[2:])
        for layer in self.clouds:
            if there.any():
                there &= layer.clear(target)
        return there

    @cached_property
    def _grid(self) -> Place:
        return self.place()


def _part(ref: ImageRef, window: Window) -> ImageRef:
    """The window of what is mapped of an image."""
    top, left = (ref.window or (0, 0))[:2]
    return replace(ref, window=(top + window[0], left + window[1], *window[2:]))


def _place_of(ref: ImageRef) -> Place:
    georeference, header = scene_georeference(ref), scene_header(ref)
    if georeference is None or not georeference.crs or not georeference.is_exact:
        raise DataError(
            f"{ref.paths[0]} does not say where its pixels lie (no transform, no CRS, or tie points alone), so no map can be made of it. "
            "Georeference it (gdalwarp), or ask about it with tools/predict.py."
        )
    return Place(header.height, header.width, georeference)
