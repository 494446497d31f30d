"""The images of one sample, read together: they must show one location."""

from collections.abc import Callable, Sequence
from pathlib import Path

from eocore.data.io.readers import MAX_BYTES, read_scene
from eocore.data.records import ImageRef
from eocore.errors import AlignmentError
from eocore.sensors.location import check_same_location
from eocore.sensors.scene import Scene

SAME_SIZE = 1.01
"""Ratio up to which pixels count as of one size: ground sampling distances are derived from transforms and latitudes."""


def read_scenes(
    refs: Sequence[ImageRef], *, root_of: Callable[[ImageRef], Path | None], source: str, max_bytes: int = MAX_BYTES
) -> tuple[Scene, ...]:
    """The scenes of a sample, in the order of its images.

    Args:
        refs: its images, series included.
        root_of: the folder that an image must lie in; None = any.
        source: "file:line" or "file#entry" of the sample, for messages.
        max_bytes: refuse to read more than this for one image.

    Raises:
        DataError, BandError: as `read_scene`; or the images show different locations.
        AlignmentError: a window of sensors whose pixels differ in size.
    """
    scenes = tuple(read_scene(ref, root=root_of(ref), max_bytes=max_bytes) for ref in refs)
    check_scenes(refs, scenes, source=source)
    return scenes


def check_scenes(refs: Sequence[ImageRef], scenes: Sequence[Scene], *, source: str) -> None:
    """Raise DataError unless the scenes of a sample show one location.

    Raises:
        DataError: as `check_same_location`.
        AlignmentError: a window of sensors whose pixels differ in size.
    """
    sizes = {ref.label: scene.gsd_m for ref, scene in zip(refs, scenes, strict=True) if ref.window and scene.gsd_m > 0}
    same_window = len({ref.window for ref in refs if ref.window}) == 1  # windows of their own may show one location in other pixels
    if same_window and sizes and max(sizes.values()) > SAME_SIZE * min(sizes.values()):
        found = ", ".join(f"{label} {size:g} m" for label, size in sizes.items())
        raise AlignmentError(
            f"{source}: a window counts pixels, but those of its sensors differ in size ({found}): it would show different locations. "
            "Resample the sensors to one grid, or cut the images out beforehand."
        )
    check_same_location(scenes)
