"""Which images show one place: for pairs of sensors, and so that no place stands in two splits.

Coordinates decide where there are any, else names do.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.crs import CRS
from rasterio.warp import transform
from shapely import STRtree
from shapely.geometry import Polygon

from eocore.errors import ConfigError
from eocore.onboarding.choices import DatasetChoices, Findings
from eocore.onboarding.images import FoundImage, Groups
from eocore.text import some_of

SAME_SHARE = 0.98
"""Intersection over union from which on two images show the same ground; what differs by more than half a pixel, the readers refuse."""
OVERLAP_SHARE = 1e-3
"""Part of the smaller of two footprints from which on they overlap: footprints that touch share slivers of rounding."""
LONGITUDE_LATITUDE = "EPSG:4326"
SENSOR_TOKENS = frozenset(
    [
        "s1",
        "s2",
        "sar",
        "rgb",
        "ms",
        "optical",
        "multispectral",
        "sentinel1",
        "sentinel2",
        "radar",
        "vv",
        "vh",
        "grd",
        "rtc",
        "l1c",
        "l2a",
        "s1grd",
        "s1rtc",
        "s2l1c",
        "s2l2a",
        "s2rgb",
        "msi",
        "img",
        "image",
    ]
)
"""Parts of file names that name a sensor, not a place."""
_TOKENS = re.compile(r"[^a-z0-9]+")
_POSITION = re.compile(r"[a-z]{0,3}\d+")
"""A part of a name that counts a chip within its scene: 0512, r3, x128."""
MOST_PARTS = 2
"""From so many positions at the end of a name on, it is a chip of the scene that the rest names: a row and a column."""


class PlaceSets:
    """Disjoint sets of images, joined step by step."""

    def __init__(self, items: Iterable[str]) -> None:
        self._parent = {item: item for item in items}

    def find(self, item: str) -> str:
        """The representative of the item's set."""
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, items: Sequence[str]) -> None:
        """Makes one set of the items' sets, represented by the first in the order of names."""
        for item in items[1:]:
            low, high = sorted((self.find(items[0]), self.find(item)))
            self._parent[high] = low


def footprint(image: FoundImage) -> Polygon | None:
    """Outline in longitude and latitude [degrees], in the image's own units where it names no CRS; None without a transform."""
    if image.grid is None:
        return None
    height, width = image.size
    corners = [image.grid.transform * corner for corner in ((0, 0), (width, 0), (width, height), (0, height))]
    if image.grid.crs:
        crs = CRS.from_wkt(image.grid.crs)
        columns, rows = transform(crs, LONGITUDE_LATITUDE, *zip(*corners, strict=True))
        corners = list(zip(columns, rows, strict=True))
    return Polygon(corners) if np.isfinite(corners).all() else None


def located(images: Iterable[FoundImage]) -> dict[str, Polygon]:
    """Path -> footprint of the images that say where they lie."""
    return {image.path: shape for image in images if (shape := footprint(image)) is not None}


def _check_apart(images: Mapping[str, FoundImage], shapes: Mapping[str, Polygon]) -> None:
    """Raise ConfigError if most images of a folder have the same coordinates: of one place, or made without real ones."""
    folders: dict[str, list[str]] = defaultdict(list)
    for path in shapes:
        folders[images[path].folder].append(path)
    for folder, paths in folders.items():
        ((_, count),) = Counter(shapes[path].wkt for path in paths).most_common(1)
        if len(paths) > 2 and 2 * count > len(paths):
            raise ConfigError(
                f"{folder}: {count} of {len(paths)} images have the same coordinates. If they show one place, say --group-by location: it "
                "stays in one split. If the coordinates mean nothing, say --group-by name or --group-by scene."
            )


def place_name(image: FoundImage) -> str:
    """The parts of an image's name that name its place."""
    return "_".join(token for token in _TOKENS.split(image.name.lower()) if token and token not in SENSOR_TOKENS)


@dataclass
class _Partners:
    """Images of another group that may show the place of an image."""

    shapes: Mapping[str, Polygon]
    images: Sequence[FoundImage]

    def __post_init__(self) -> None:
        self.with_shape = [image for image in self.images if image.path in self.shapes]
        self._tree = STRtree([self.shapes[image.path] for image in self.with_shape])
        self.by_name: dict[str, list[FoundImage]] = defaultdict(list)
        for image in self.images:
            self.by_name[place_name(image)].append(image)

    def at(self, image: FoundImage) -> list[FoundImage]:
        """Those on the same ground."""
        shape = self.shapes.get(image.path)
        if shape is None:
            return []
        near = [self.with_shape[index] for index in self._tree.query(shape)]
        return [other for other in near if _same_share(shape, self.shapes[other.path]) >= SAME_SHARE]


def _same_share(one: Polygon, other: Polygon) -> float:
    union = one.union(other).area
    return one.intersection(other).area / union if union else float(one.equals(other))


def pair_images(
    anchor: str, groups: Groups, *, shapes: Mapping[str, Polygon], choices: DatasetChoices, findings: Findings
) -> dict[str, dict[str, FoundImage]]:
    """Path of an image of the anchor -> group -> image of the same place, the anchor's own among them.

    Args:
        anchor: group whose images are all kept.
        groups: of all images.
        shapes: from `located`.
        choices: of the user.
        findings: takes how many were paired, and by what.

    Raises:
        ConfigError: several images of a group show one place, or a group shares no place with the anchor.
    """
    pairs = {image.path: {anchor: image} for image in groups[anchor]}
    for label, others in groups.items():
        if label == anchor:
            continue
        partners = _Partners(shapes, others)
        counts: Counter[str] = Counter()
        for image in groups[anchor]:
            partner, how = _partner(image, partners, choices=choices, where=f"{anchor}: {image.path} and {label}")
            counts[how] += 1
            if partner is not None:
                pairs[image.path][label] = partner
        _tell(anchor, label, counts=counts, findings=findings)
    return pairs


NONE, LOCATION, NAME, ELSEWHERE = "no partner", "location", "name", "elsewhere"


def _partner(image: FoundImage, partners: _Partners, *, choices: DatasetChoices, where: str) -> tuple[FoundImage | None, str]:
    """The image of another group that shows the same place, and what tells it."""
    here = partners.at(image) if choices.pair_by != NAME else []
    named = partners.by_name[place_name(image)] if choices.pair_by != LOCATION else []
    both = [other for other in here if other in named]
    for found, how in ((both or here, LOCATION), (named, NAME)):
        if len(found) > 1:
            raise ConfigError(
                f"{where}: {len(found)} images show its place ({some_of([other.path for other in found], 3)}); one of them would be chosen "
                "blindly. Decide with --pair-by name or location, leave some out with --leave-out, or name the pairs by columns of a table."
            )
        if found:
            apart = how == NAME and choices.pair_by is None and image.path in partners.shapes and found[0].path in partners.shapes
            return (None, ELSEWHERE) if apart else (found[0], how)
    return None, NONE


def _tell(anchor: str, label: str, *, counts: Counter[str], findings: Findings) -> None:
    paired = counts[LOCATION] + counts[NAME]
    if not paired:
        raise ConfigError(
            f"{label}: none of its images shows a place of {anchor}, neither by coordinates nor by name. Leave the group out with "
            f"--leave-out {label}, or name the pairs by columns of a table."
        )
    by = ", ".join(f"{counts[how]} by {how}" for how in (LOCATION, NAME) if counts[how])
    findings.guessed.append(f"pairs: {paired} of {sum(counts.values())} images of {anchor} have a partner in {label} ({by})")
    if counts[NONE]:
        findings.unsure.append(f"{counts[NONE]} images of {anchor} have no partner in {label}: their samples are without it")
    if counts[ELSEWHERE]:
        findings.unsure.append(
            f"{counts[ELSEWHERE]} images of {anchor} have a namesake in {label} that lies elsewhere, and are not paired; --pair-by name "
            "pairs them nevertheless"
        )


def group_places(
    images: Mapping[str, FoundImage], *, root: Path, shapes: Mapping[str, Polygon], choices: DatasetChoices, findings: Findings
) -> PlaceSets:
    """Sets of images that show one place: those that overlap, equal files, and by names those without coordinates.

    Args:
        images: path -> image.
        root: folder of the paths.
        shapes: from `located`.
        choices: of the user.
        findings: takes what was told by what.
    """
    sets = PlaceSets(images)
    placed = {path: shapes[path] for path in images if path in shapes} if choices.group_by in (None, LOCATION) else {}
    if choices.group_by is None:
        _check_apart(images, placed)
    if choices.group_by == LOCATION and len(placed) < len(images):
        missing = sorted(set(images) - set(placed))
        raise ConfigError(
            f"--group-by location: {len(missing)} images have no coordinates ({some_of(missing, 3)}). Group by scene or name."
        )
    _join_overlapping(placed, sets)
    rest = [image for path, image in images.items() if path not in placed]
    if placed:
        findings.guessed.append(f"places: {len(placed)} images by coordinates, those that overlap together")
    if rest:
        _join_named(rest, sets, choices=choices, findings=findings)
    equal = _join_equal(images, sets, root=root)
    if equal:
        findings.guessed.append(f"places: {equal} files are copies of another one, and stay with it")
    return sets


def _join_overlapping(shapes: Mapping[str, Polygon], sets: PlaceSets) -> None:
    paths, polygons = list(shapes), list(shapes.values())
    if not paths:
        return
    for one, other in zip(*STRtree(polygons).query(polygons, predicate="intersects"), strict=True):
        shared, smaller = polygons[one].intersection(polygons[other]).area, min(polygons[one].area, polygons[other].area)
        if one < other and shared > OVERLAP_SHARE * smaller:
            sets.join([paths[one], paths[other]])


def scene_name(name: str, *, least: int) -> str:
    """The scene that an image's place name is a chip of: the name without the positions at its end, of which there are at least `least`."""
    tokens = name.split("_")
    end = len(tokens)
    while end and _POSITION.fullmatch(tokens[end - 1]):
        end -= 1
    return "_".join(tokens[:end]) if end and len(tokens) - end >= least else name


def _join_named(images: Sequence[FoundImage], sets: PlaceSets, *, choices: DatasetChoices, findings: Findings) -> None:
    least = 1 if choices.group_by == "scene" else MOST_PARTS
    scenes: dict[str, list[str]] = defaultdict(list)
    for image in images:
        name = place_name(image)
        scenes[name if choices.group_by == NAME else scene_name(name, least=least)].append(image.path)
    for paths in scenes.values():
        sets.join(paths)
    example = next(iter(scenes))
    told = f"{len(images)} images without coordinates are {len(scenes)} places by name (such as '{example}')"
    findings.guessed.append(f"places: {told}")
    if choices.group_by is None:
        findings.unsure.append(f"{told}; --group-by name takes each name for a place, --group-by scene the name without its last numbers")


def _join_equal(images: Mapping[str, FoundImage], sets: PlaceSets, *, root: Path) -> int:
    """Joins equal files; returns how many are copies."""
    by_size: dict[int, list[str]] = defaultdict(list)
    for path in images:
        if (root / path).is_file():
            by_size[(root / path).stat().st_size].append(path)
    copies = 0
    for paths in by_size.values():
        by_content: dict[str, list[str]] = defaultdict(list)
        for path in paths if len(paths) > 1 else ():
            with (root / path).open("rb") as file:
                by_content[hashlib.file_digest(file, "blake2b").hexdigest()].append(path)
        for equal in by_content.values():
            sets.join(equal)
            copies += len(equal) - 1
    return copies
