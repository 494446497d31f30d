"""The images that an entry names itself, with role, sensor, bands, window and time of each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eocore.data.formats.entries import Entry, shorten
from eocore.data.image_sources import file_inside
from eocore.data.records import ImageRef, is_gsd, is_role
from eocore.errors import AnnotationError
from eocore.portable.series import is_moment

PLAIN_SENSORS = {"rgb": "rgb_uint8", "sar": "grey_uint8"}
"""Role -> sensor of a picture that is named by its file alone."""


def read_image_refs(entry: Entry, folder: Path) -> tuple[ImageRef, ...]:
    """The images of an entry, in their order; files are made absolute.

    `image` is the file of a colour picture. `images` maps roles to one image each, or to a list of images that differ in time. An image is
    {"path": file or list of files or the folder of a product, "sensor": name, "bands": [names], "time": ISO date or date-time, or
    its order ("before", "after", "image 1"), "gsd_m": pixel size of a product [m], "noise_removal": true or false}, all but the first two
    where they are needed; a text alone is the file of a colour (rgb) or grey (sar) picture.

    Args:
        entry: with `image` or `images`.
        folder: what the paths are relative to and must not leave.

    Raises:
        AnnotationError: no image is named, a role is no plain word, an image is described otherwise, or a path leaves the folder.
    """
    check_one_image(entry)
    named = entry.values.get("images") or {"rgb": entry.text("image")}
    if not isinstance(named, Mapping) or not all(map(is_role, named)):
        raise AnnotationError(
            f"{entry.source}: images {shorten(named)}; expected an object whose keys are roles such as rgb, multispectral or sar."
        )
    several = {role: value if isinstance(value, list) else [value] for role, value in named.items()}
    return tuple(_image_ref(value, role, entry=entry, folder=folder) for role, values in several.items() for value in values)


def check_one_image(entry: Entry) -> None:
    """Raise AnnotationError if `image` lists several files."""
    named = entry.values.get("image")
    if isinstance(named, list | tuple):
        raise AnnotationError(
            f"{entry.source}: field 'image' lists {len(named)} files ({shorten(named)}), which means as many images; it names one. Several "
            "sensors, or files of one image, are described by `images` of the config (a pattern with {band} or *), or by `images` of the "
            "entry: {'sar': {'path': [files], 'sensor': name}} is one image, a list of such objects with `time` is a series."
        )


def _image_ref(value: Any, role: str, *, entry: Entry, folder: Path) -> ImageRef:
    if isinstance(value, str) and role in PLAIN_SENSORS:
        value = {"path": value, "sensor": PLAIN_SENSORS[role]}
    if not isinstance(value, Mapping) or not isinstance(value.get("sensor"), str) or "path" not in value:
        raise AnnotationError(
            f"{entry.source}: images.{role} is {shorten(value)}; expected {{'path': file or list of files, 'sensor': name, 'bands': "
            "[names] where they deviate}}. A file alone does not tell its sensor."
        )
    time = value.get("time", "")
    if time and not is_moment(time):
        expected = "expected an ISO 8601 date or date-time, or its order: 'before', 'after', 'image 1'"
        raise AnnotationError(f"{entry.source}: images.{role}.time is {shorten(time)}; {expected}.")
    gsd_m, noise_removal = value.get("gsd_m"), value.get("noise_removal", False)
    if (gsd_m is not None and not is_gsd(gsd_m)) or not isinstance(noise_removal, bool):
        raise AnnotationError(
            f"{entry.source}: images.{role} has gsd_m {shorten(gsd_m)} and noise_removal {shorten(noise_removal)}; expected a positive "
            "number of metres, and true or false."
        )
    paths = [value["path"]] if isinstance(value["path"], str) else list(value["path"])
    files = tuple(file_inside(folder, path, source=entry.source) for path in paths)
    return ImageRef(role, value["sensor"], files, bands=tuple(value.get("bands", ())), time=time, gsd_m=gsd_m, noise_removal=noise_removal)
