"""The images of one scene, read window by window on one pixel grid."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from eocore.data.io.readers import read_scene, scene_georeference, scene_header
from eocore.data.records import ImageRef, Record, Window
from eocore.errors import AlignmentError, DataError, NoDataError
from eocore.evaluate.protocols import Sample
from eocore.sensors.location import same_crs
from eocore.sensors.scene import Georeference

SAME_GRID_PX = 0.01
"""Transforms nearer than this are of one grid; files write them with rounding errors."""


class Place(NamedTuple):
    """The pixel grid of a scene.

    Attributes:
        height, width: [px].
        georeference: where it lies.
    """

    height: int
    width: int
    georeference: Georeference

    def __str__(self) -> str:
        a, _, left, _, _, top = self.georeference.transform
        return f"{self.height} x {self.width} px of {a:g} from {left:g}, {top:g}"


@dataclass(frozen=True)
class SceneSource:
    """Images of one place.

    Attributes:
        refs: role -> image; a `window` of theirs is the part that is mapped.
    """

    refs: Mapping[str, ImageRef]

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
        """A window of all images; None where none of them has data there.

        Raises:
            DataError: an image cannot be read there, or has no data where another has.
        """
        scenes, empty = [], []
        for role, ref in self.refs.items():
            top, left = (ref.window or (0, 0))[:2]
            part = replace(ref, window=(top + window[0], left + window[1], *window[2:]))
            try:
                scenes.append(read_scene(part))
            except NoDataError:
                empty.append(role)
        if empty:  # a model that is given two sensors is not given one alone: at the rim of a swath the map ends with the smaller of both
            return None
        refs = tuple(replace(ref, window=window) for ref in self.refs.values())
        source = f"{next(iter(self.refs.values())).paths[0]} at {window}"
        return Record(sample_id=f"{window[0]}_{window[1]}", images=refs, source=source), tuple(scenes)

    @staticmethod
    def has_data(sample: Sample) -> np.ndarray:
        """(H, W) bool: where every image of a window has data in any band."""
        _, scenes = sample
        found: np.ndarray = np.logical_and.reduce([np.isfinite(scene.pixels).any(axis=0) for scene in scenes])
        return found


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
