"""The images of one scene, read window by window on one pixel grid."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from eocore.data.io.readers import read_scene, scene_georeference, scene_header
from eocore.data.records import ImageRef, Record, Window
from eocore.errors import AlignmentError, DataError, NoDataError
from eocore.evaluate.protocols import Sample
from eocore.scenes.area import Area
from eocore.scenes.place import Place
from eocore.sensors.location import same_crs
from eocore.sensors.scene import Georeference

SAME_GRID_PX = 0.01
"""Transforms nearer than this are of one grid; files write them with rounding errors."""


@dataclass(frozen=True)
class SceneSource:
    """Images of one place.

    Attributes:
        refs: role -> image; a `window` of theirs is the part that is mapped.
        area: what is mapped of it; None = all.
    """

    refs: Mapping[str, ImageRef]
    area: Area | None = None

    def place(self) -> Place:
        """Of all images.

        Raises:
            DataError: an image cannot be read, or does not say where it lies.
            AlignmentError: they lie on different pixel grids.
        """
        found = {role: _place_of(ref) for role, ref in self.refs.items()}
        first, own = next(iter(found.items()))
        for role, other in found.items():
            if other[:2] != own[:2] or not _same_grid(own.georeference, other.georeference):
                raise AlignmentError(
                    f"{self.refs[role].paths[0]} ({role}: {other}) does not lie on the pixel grid of {self.refs[first].paths[0]} ({first}: "
                    f"{own}): a window would show different ground in both. Warp one to the grid of the other (gdalwarp -t_srs -te -ts)."
                )
        return own

    def read(self, window: Window) -> "Sample | None":
        """A window of all images; None where one of them has no data there, or the window lies outside of the area.

        Raises:
            DataError: an image cannot be read there.
        """
        parts = [_part(ref, window) for ref in self.refs.values()]
        if self.area is not None and not self._inside(window).any():
            return None
        try:
            scenes = tuple(read_scene(part) for part in parts)
        except NoDataError:
            return None  # a model that is given two sensors is not given one alone: the map ends where the first of them does
        source = f"{parts[0].paths[0]} at {window}"
        return Record(sample_id=f"{window[0]}_{window[1]}", images=tuple(parts), source=source), scenes

    def has_data(self, sample: "Sample", window: Window) -> np.ndarray:
        """(H, W) bool: where every image of a window has data in any band, inside the area."""
        _, scenes = sample
        found: np.ndarray = np.logical_and.reduce([np.isfinite(scene.pixels).any(axis=0) for scene in scenes])
        return found if self.area is None else found & self._inside(window)

    def _inside(self, window: Window) -> np.ndarray:
        if self.area is None:
            return np.ones(window[2:], bool)
        georeference = scene_georeference(_part(next(iter(self.refs.values())), window))
        if georeference is None:
            raise DataError(f"{next(iter(self.refs.values())).paths[0]} does not say where it lies any more; it has changed meanwhile.")
        return self.area.inside(georeference.transform, window[2:])


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


def _same_grid(first: Georeference, second: Georeference) -> bool:
    a, b = np.array(first.transform), np.array(second.transform)
    return same_crs(first.crs, second.crs) and bool(np.abs(a - b).max() < SAME_GRID_PX * abs(a[0] or a[1]))
