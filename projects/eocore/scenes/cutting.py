"""Images cut to an area of interest."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from eocore.data.records import ImageRef
from eocore.scenes.area import read_area
from eocore.scenes.source import SceneSource


def within_area(refs: Mapping[str, ImageRef], path: Path | None) -> SceneSource:
    """The smallest parts of images that hold an area; all of them where there is none.

    Args:
        refs: role -> image.
        path: GeoJSON; None = no area.

    Raises:
        DataError: an image or the area cannot be read, or they share nothing.
        AlignmentError: the images lie on different pixel grids.
    """
    if path is None:
        return SceneSource(refs)
    place = SceneSource(refs).place()
    area = read_area(path, crs=place.georeference.crs)
    top, left, height, width = area.window(place, source=str(path))
    cut = {}
    for role, ref in refs.items():
        row, col = (ref.window or (0, 0))[:2]
        cut[role] = replace(ref, window=(row + top, col + left, height, width))
    return SceneSource(cut, area)
