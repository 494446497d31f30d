"""Where the images of a dataset lie: from the name an annotation gives to the files of each role."""

import glob
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from eocore.data.io.image_files import DEFAULT_PATTERN
from eocore.data.io.layer_file import LEFT_OUT
from eocore.data.records import ImageRef, is_gsd, is_role
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.option_types import annotations_of, check_option
from eocore.sensors.bands import get_sensor

IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy", ".npz", ".jp2", ".json")
"""What is taken off a name to get its stem; EarthMind-Bench names its images after JSON files. Any other dot belongs to the name."""

PLACES = ("stem", "name", "band")


@dataclass(frozen=True)
class ImageSource:
    """The files of the images of one role.

    Attributes:
        root: folder the patterns start from; no file outside it is read.
        sensor: name in the sensor registry.
        pattern: path below `root`; `{name}` is the annotation's image field as it stands, `{stem}` the same without its image suffix.
            Several files: with `{band}` one for each band name; with `*` all that are found, sorted by name, their layers named by `bands`
            or else as the reader finds.
            Several patterns are alternatives: the first whose file exists counts.
        bands: names of the layers (or of the files) in order, where they deviate from the sensor's own; empty = the sensor's.
        index: JSON file of an object, image field -> path, or list of paths, one a band, below `root`; in place of `pattern`, where names
            of files do not follow from one another. What it does not name is not there.
        optional: an image that is not there is left out of the record, instead of failing when it is read.
        gsd_m, noise_removal: of products, see `eocore.data.records.ImageRef`.
    """

    uncompared: ClassVar[Mapping[str, str]] = {
        "root": "names below it and sizes of image files are compared, not where they lie",
        "index": "the files that it names are compared",
    }

    root: str
    sensor: str
    pattern: str | tuple[str, ...] = DEFAULT_PATTERN
    index: str = ""
    bands: tuple[str, ...] = ()
    optional: bool = False
    gsd_m: float | None = None
    noise_removal: bool = False

    def __post_init__(self) -> None:
        if not self.patterns or not all(isinstance(pattern, str) for pattern in self.patterns):
            raise ConfigError(f"images: pattern must be a text or a list of texts, found {self.pattern!r}.")
        if self.gsd_m is not None and not is_gsd(self.gsd_m):
            raise ConfigError(f"images: gsd_m must be a positive number of metres, found {self.gsd_m!r}.")
        for pattern in self.patterns:
            try:
                pattern.format(**dict.fromkeys(PLACES, ""))
            except (KeyError, IndexError, ValueError) as error:
                raise ConfigError(f"images: pattern '{pattern}' may use {{stem}}, {{name}} and {{band}} only ({error!r}).") from error

    @property
    def patterns(self) -> tuple[str, ...]:
        """All alternatives."""
        return (self.pattern,) if isinstance(self.pattern, str) else tuple(self.pattern)

    def locate(self, image: str, source: str, *, role: str) -> ImageRef | None:
        """The file or files of `image`; None where an optional one is not there.

        Args:
            image: the annotation's image field, a relative path.
            source: "file:line" or "file#entry", for messages.
            role: of the image.

        Raises:
            AnnotationError: the field is no relative path inside the root.
            DataError: alternatives or a `*` pattern matched no file.
        """
        check_relative(image, source)
        if self.index:
            return self._indexed(image, source, role=role)
        searched = [self._candidate(pattern, image, role=role) for pattern in self.patterns]
        must_exist = self.optional or len(searched) > 1
        for ref in searched:
            if ref.paths and (not must_exist or any(os.path.exists(path) for path in ref.paths)):
                return ref
        if self.optional:
            return None
        tried = ", ".join(os.path.join(self.root, pattern) for pattern in self.patterns)
        raise DataError(f"{source}: no image '{image}': no file fits {tried}. Fetch it, correct `images`, or set optional=True.")

    def _indexed(self, image: str, source: str, *, role: str) -> ImageRef | None:
        paths = read_index(self.index).get(image, ())
        for path in paths:
            check_relative(path, f"{self.index}, '{image}'")
        if not paths and not self.optional:
            raise DataError(f"{source}: no image '{image}' in {self.index}. Add it there, correct `images`, or set optional=True.")
        files = tuple(os.path.join(os.path.abspath(self.root), path) for path in paths)
        return self._ref(role, files, bands=self.bands) if files else None

    def _candidate(self, pattern: str, image: str, *, role: str) -> ImageRef:
        # Absolute, so that a reader may join it to any folder without doubling the root.
        root = os.path.abspath(self.root)
        if "*" in pattern:
            found = sorted(glob.glob(os.path.join(glob.escape(root), _fill(pattern, glob.escape(image)))))
            return self._ref(role, tuple(found), bands=self.bands)
        if "{band}" in pattern:
            bands = tuple(band for band in self.bands if band != LEFT_OUT) or get_sensor(self.sensor).band_names
            files = tuple(os.path.join(root, _fill(pattern, image, band=band)) for band in bands)
            return self._ref(role, files, bands=bands)
        return self._ref(role, (os.path.join(root, _fill(pattern, image)),), bands=self.bands)

    def _ref(self, role: str, paths: tuple[str, ...], *, bands: tuple[str, ...]) -> ImageRef:
        return ImageRef(role, self.sensor, paths, bands=bands, gsd_m=self.gsd_m, noise_removal=self.noise_removal)


def build_sources(images: Mapping[str, Mapping[str, Any]], owner: str) -> dict[str, ImageSource]:
    """Image sources by role, in the order of the config.

    Args:
        images: role -> the fields of `ImageSource`. Any word may be a role; whether a model reads it, its processor says.
        owner: the dataset's name, for messages.

    Raises:
        ConfigError: a role that is no word, an unknown key, or a missing key.
        BandError: the sensor is not registered.
    """
    wrong = [role for role in images if not is_role(role)]
    if wrong:
        raise ConfigError(
            f"{owner}: images has the key {wrong[0]!r}; expected roles: words of lower-case letters, digits and underscores, such as rgb, "
            "multispectral or sar. Correct it."
        )
    return {role: _build_source(values, f"{owner}: images[{role!r}]") for role, values in images.items()}


def read_index(path: str) -> Mapping[str, tuple[str, ...]]:
    """Image field -> paths, of an index; read again where the file has changed.

    Raises:
        DataError: the file is missing.
        AnnotationError: it is no JSON object of paths.
    """
    try:
        return _parse_index(path, os.stat(path).st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path}: the index of images cannot be read ({error.strerror}). Make it again, or correct `index`.") from error


@lru_cache(maxsize=64)
def _parse_index(path: str, _changed_ns: int) -> Mapping[str, tuple[str, ...]]:
    with open(path, encoding="utf-8") as file:
        try:
            values = json.load(file)
        except ValueError as error:
            raise AnnotationError(f"{path}: the index of images is no JSON ({error}). Make it again.") from error
    found = {name: [paths] if isinstance(paths, str) else paths for name, paths in values.items()} if isinstance(values, dict) else None
    if found is None or not all(isinstance(paths, list) and all(isinstance(path, str) for path in paths) for paths in found.values()):
        raise AnnotationError(f"{path}: expected an object, image -> path or list of paths. Make it again.")
    return {name: tuple(paths) for name, paths in found.items()}


def _build_source(values: Mapping[str, Any], owner: str) -> ImageSource:
    check_option(owner, values, annotation=Mapping[str, Any])
    keys = [field.name for field in fields(ImageSource)]
    wrong = sorted(set(values) - set(keys))
    missing = [key for key in ("root", "sensor") if key not in values]
    if wrong or missing:
        found = f"has no key {', '.join(wrong)}" if wrong else f"needs {', '.join(missing)}"
        raise ConfigError(f"{owner} {found}. Keys: {', '.join(keys)}.")
    annotations = annotations_of(ImageSource)
    for key, value in values.items():
        check_option(f"{owner}.{key}", value, annotation=annotations[key])
    get_sensor(values["sensor"])
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return ImageSource(**plain)


def check_relative(path: str, source: str) -> None:
    """Nothing; raises AnnotationError unless `path` is a plain relative path that stays below its root."""
    parts = path.replace("\\", "/").split("/")
    if not path.strip() or "\0" in path or "://" in path or ".." in parts or path.startswith(("/", "\\", "~")) or ":" in parts[0]:
        raise AnnotationError(f"{source}: '{path[:80]!s}' is no relative path inside the image folder; such files are not read.")


def stem_of(name: str) -> str:
    """`name` without its image suffix, folders kept: "a/b.1.tif" -> "a/b.1"; a name without one stays as it is."""
    base, suffix = os.path.splitext(name)
    return base if suffix.lower() in IMAGE_SUFFIXES else name


def file_inside(root: str | Path, path: str, *, source: str) -> str:
    """The absolute path of the file `path` names below `root`.

    Raises:
        AnnotationError: `path` leaves `root`, also by a link.
    """
    check_relative(path, source)
    folder, file = os.path.realpath(root), os.path.realpath(os.path.join(root, path))
    if os.path.commonpath([folder, file]) != folder:
        raise AnnotationError(f"{source}: '{path}' leads out of {root} by a link; such files are not read.")
    return os.path.join(os.path.abspath(root), path)


def _fill(pattern: str, image: str, *, band: str = "") -> str:
    return pattern.format(name=image, stem=stem_of(image), band=band)
