"""What of a scene is mapped: the grid, the area, clouds."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from eocore.data.records import ImageRef
from eocore.errors import ConfigError
from eocore.portable.series import AFTER, BEFORE
from eocore.predict.image_files import ClassLayers
from eocore.scenes.area import read_area
from eocore.scenes.clouds import find_clouds
from eocore.scenes.grids import choose_grid
from eocore.scenes.source import SceneSource


def scene_source(
    refs: Mapping[str, ImageRef],
    *,
    area: Path | None = None,
    grid: str | None = None,
    clouds: str | None = None,
    layers: Mapping[str, ClassLayers] | None = None,
) -> SceneSource:
    """The images of a scene, and what of them is mapped.

    Args:
        refs: role -> image.
        area: GeoJSON; None = all of it.
        grid: see `choose_grid`; None = that which the images share.
        clouds: see `find_clouds`; None = clouds are mapped as what they look like.
        layers: those of clouds that are known to belong to images, see `find_clouds`.

    Raises:
        ConfigError: the grid or the layer of clouds has another form, or cannot be told.
        DataError: an image or the area cannot be read, or they share nothing.
        AlignmentError: the images lie on different pixel grids, and none is chosen.
    """
    source = SceneSource(refs, clouds=find_clouds(clouds, refs, known=layers) if clouds else ())
    if grid is not None:
        source = replace(source, grid=choose_grid(grid, source.places))
    for layer in source.clouds:
        layer.check_reaches(source.place())  # before windows are read
    return source if area is None else _cut(source, area)


def _cut(source: SceneSource, path: Path) -> SceneSource:
    """The smallest part of a scene that holds an area."""
    place = source.place()
    area = read_area(path, crs=place.georeference.crs)
    part = area.window(place, source=str(path))
    if source.grid is not None:
        return replace(source, area=area, grid=place.part(part))
    cut = {}
    for role, ref in source.refs.items():
        row, col = (ref.window or (0, 0))[:2]
        cut[role] = replace(ref, window=(row + part[0], col + part[1], *part[2:]))
    return replace(source, refs=cut, area=area)


def as_pair(before: Mapping[str, ImageRef], after: Mapping[str, ImageRef]) -> dict[str, ImageRef]:
    """The images of two dates, each of its moment, as models of series read them.

    Args:
        before, after: role -> image.

    Raises:
        ConfigError: the dates have images of different roles.
    """
    if set(before) != set(after):
        raise ConfigError(
            f"--before shows {', '.join(before) or 'nothing'}, the later date {', '.join(after) or 'nothing'}: a pair has images of the "
            "same kinds. Give both dates the same (--before [INPUT=]FILE; the later ones by --optical, --sar and so on)."
        )
    dated = [replace(ref, time=time) for time, refs in ((BEFORE, before), (AFTER, after)) for ref in refs.values()]
    return {ref.label: ref for ref in dated}
