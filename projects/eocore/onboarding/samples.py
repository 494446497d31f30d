"""From a folder or a table to samples: which row is about which images, and what these are read as."""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shapely.geometry import Polygon

from eocore.data.formats.entries import Entry
from eocore.data.formats.tables import TABLE_SUFFIXES, column_names
from eocore.data.image_sources import check_relative
from eocore.data.io.image_listing import list_images
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.onboarding.choices import CLASSIFICATION, DatasetChoices, Findings, check_groups
from eocore.onboarding.columns import Columns, choose_columns
from eocore.onboarding.entries import Sample
from eocore.onboarding.images import TOP, FoundImage, Groups, describe_groups, group_images, read_image, read_images
from eocore.onboarding.places import located, pair_images, place_name
from eocore.onboarding.sensors import SensorChoice, choose_sensor
from eocore.onboarding.sources import check_roles
from eocore.onboarding.tables import read_rows
from eocore.text import some_of

IMAGE, LABEL = "image", "label"
"""Columns of the rows that are made of class folders."""


@dataclass(frozen=True)
class SampleSet:
    """What was found.

    Attributes:
        root: folder of the paths of images and masks.
        columns: of the table.
        samples: rows with their images.
        sensors: group -> what its images are read as.
        shapes: path -> footprint of the images that say where they lie.
    """

    root: Path
    columns: Columns
    samples: list[Sample]
    sensors: dict[str, SensorChoice]
    shapes: Mapping[str, Polygon]


def find_samples(source: Path, choices: DatasetChoices, *, findings: Findings, root: Path | None = None) -> SampleSet:
    """The samples of a folder or of a table.

    Args:
        source: a table, whose rows name images; or a folder: with one table, whose rows are about all images of a place, or with a folder
            of images for each class.
        choices: of the user.
        findings: takes what was told from files and names.
        root: folder that paths of the table are relative to; None = the table's own.

    Raises:
        ConfigError: the files leave several readings, or none.
        DataError: nothing can be used.
    """
    table = _find_table(source)
    if table is None:
        return _class_folders(source, choices, findings=findings)
    root = root or table.parent
    rows = read_rows(table, findings)
    columns = choose_columns(column_names(rows), choices, findings=findings)
    finder = _Finder(root, _mask_folders(rows, columns), findings=findings)
    if len(columns.images) == 1 and (choices.pair or source.is_dir()):
        samples, groups = _by_place(rows, columns, finder=finder, choices=choices)
    else:
        samples, groups = _by_columns(rows, columns, finder=finder)
        check_groups(choices, tuple(groups))
    return _finish(SampleSet(root, columns, samples, {}, {}), groups, choices=choices, findings=findings)


def _find_table(source: Path) -> Path | None:
    if not source.is_dir():
        return source
    tables = sorted(path for path in source.iterdir() if path.suffix.lower() in TABLE_SUFFIXES and path.is_file())
    if len(tables) > 1:
        names = some_of([path.name for path in tables])
        raise ConfigError(f"{source} holds {len(tables)} tables ({names}). Name the one that is meant instead of the folder: {tables[0]}.")
    return tables[0] if tables else None


def _mask_folders(rows: Sequence[Entry], columns: Columns) -> frozenset[str]:
    """Folders of mask files, whose images are no images of samples."""
    column = columns.fields.get("mask")
    cells = [row.values.get(column) for row in rows] if column else []
    return frozenset(os.path.dirname(cell) for cell in cells if isinstance(cell, str) and cell[:1] not in "[{" and "/" in cell)


class _Finder:
    """Finds the image that a cell names: by its path below the root, else by its name with or without ending."""

    def __init__(self, root: Path, masks: frozenset[str], *, findings: Findings) -> None:
        self.root, self.findings = root, findings
        self._masks = masks
        self._listed: list[str] | None = None
        self._names: dict[str, list[str]] = defaultdict(list)
        self._read: dict[str, FoundImage] = {}

    def listed(self) -> list[str]:
        """Paths of all images below the root but masks."""
        if self._listed is None:
            self._listed = [path for path in list_images(self.root) if (os.path.dirname(path) or TOP) not in self._masks]
            for path in self._listed:
                base = os.path.basename(path)
                for name in {base, os.path.splitext(base)[0]}:
                    self._names[name].append(path)
        return self._listed

    def paths(self, cell: str, source: str) -> list[str]:
        """What a cell may mean, at least one path.

        Raises:
            AnnotationError: the cell is no relative path, or names nothing that is there.
        """
        if os.path.isabs(cell) and Path(cell).resolve().is_relative_to(self.root.resolve()):
            cell = Path(cell).resolve().relative_to(self.root.resolve()).as_posix()
        check_relative(cell, source)
        if (self.root / cell).exists():
            return [Path(cell).as_posix()]
        self.listed()
        found = self._names.get(os.path.basename(cell), [])
        found = [path for path in found if os.path.dirname(path).endswith(os.path.dirname(cell))]
        if not found:
            raise AnnotationError(f"{source}: no image {cell!r} below {self.root}. Fetch it, or say where images lie with --images DIR.")
        return found

    def image(self, path: str) -> FoundImage:
        """The image's header. Raises DataError where it cannot be read."""
        if path not in self._read:
            self._read[path] = read_image(self.root, path)
        return self._read[path]


def _by_columns(rows: Sequence[Entry], columns: Columns, *, finder: _Finder) -> tuple[list[Sample], Groups]:
    """Samples of the images that each row names, by column; images of several kinds in one column are groups of their own."""
    made: list[tuple[Entry, dict[str, FoundImage]]] = []
    for row in rows:
        try:
            named = {group: _one(finder, row, column=column) for group, column in columns.images.items() if column in row.values}
            if not named:
                raise AnnotationError(f"{row.source}: no image in column {', '.join(columns.images.values())}.")
            made.append((row, named))
        except DataError as error:
            finder.findings.skip(row.source, error)
    kinds = {group: sorted({images[group].kind for _, images in made if group in images}) for group in columns.images}
    labels = {(group, kind): group if len(found) == 1 else f"{group}/{kind}" for group, found in kinds.items() for kind in found}
    samples = [Sample(row, {labels[group, image.kind]: image for group, image in images.items()}) for row, images in made]
    groups: Groups = {}
    for label in labels.values():
        unique = {sample.images[label].path: sample.images[label] for sample in samples if label in sample.images}
        groups[label] = [unique[path] for path in sorted(unique)]
    return samples, groups


def _one(finder: _Finder, row: Entry, *, column: str) -> FoundImage:
    cell = row.file_name(column)
    paths = finder.paths(cell, row.source)
    if len(paths) > 1:
        raise ConfigError(
            f"{row.source}: {cell!r} names {len(paths)} images ({some_of(paths, 3)}). If they are the sensors of one place, join them with "
            "--pair; else say where images lie with --images DIR, or write their folders into the table."
        )
    return finder.image(paths[0])


def _by_place(rows: Sequence[Entry], columns: Columns, *, finder: _Finder, choices: DatasetChoices) -> tuple[list[Sample], Groups]:
    """Samples of all images of the place that a row names."""
    column = next(iter(columns.images.values()))
    listed = read_images(finder.root, finder.listed(), findings=finder.findings)
    groups = group_images(listed)
    check_groups(choices, tuple(groups))
    groups = {label: images for label, images in groups.items() if label not in choices.leave_out}
    label_of = {image.path: label for label, images in groups.items() for image in images}
    named: list[tuple[Entry, list[str]]] = []
    for row in rows:
        try:
            found = [path for path in finder.paths(row.file_name(column), row.source) if path in label_of]
            if not found:
                raise AnnotationError(f"{row.source}: its image is left out, or cannot be read.")
            named.append((row, found))
        except DataError as error:
            finder.findings.skip(row.source, error)
    if not named:
        raise DataError(f"{finder.root}: no row names an image that can be used. {_first(finder.findings)}")
    counts = Counter(label_of[path] for _, paths in named for path in paths)
    anchor = max(counts, key=lambda label: (counts[label], len(groups[label]), label))
    pairs = pair_images(anchor, groups, shapes=located(listed), choices=choices, findings=finder.findings)
    samples = []
    for row, paths in named:
        own = [path for path in paths if label_of[path] == anchor]
        if len(own) == 1:
            samples.append(Sample(row, pairs[own[0]]))
        elif own:
            raise ConfigError(f"{row.source}: names {len(own)} images of {anchor} ({some_of(own, 3)}). Write their folders into the table.")
        else:
            samples.append(Sample(row, {label_of[paths[0]]: finder.image(paths[0])}))
    return samples, groups


def _class_folders(source: Path, choices: DatasetChoices, *, findings: Findings) -> SampleSet:
    images = read_images(source, list_images(source), findings=findings)
    if not images:
        raise DataError(f"{source}: no image that can be read, and no table ({', '.join(TABLE_SUFFIXES)}). {_first(findings)}")
    folders = sorted({image.folder for image in images})
    if choices.tasks not in ((), (CLASSIFICATION,)) or len(folders) < 2 or TOP in folders or _are_sensors(images):
        raise ConfigError(
            f"{source}: images in {some_of(folders, 4)}, and no table beside them says what they show. Put a table "
            f"({', '.join(TABLE_SUFFIXES)}) with a row a question, phrase, caption or label into the folder, or sort the images into one "
            "folder a class. Land-cover maps become questions and masks by tools/prepare/landcover.py."
        )
    findings.guessed.append(f"learns {CLASSIFICATION}: {len(folders)} folders are taken for classes ({some_of(folders, 6)})")
    rows = [Entry({IMAGE: image.path, LABEL: os.path.basename(image.folder)}, str(source / image.path)) for image in images]
    kinds = sorted({image.kind for image in images})
    labels = {kind: IMAGE if len(kinds) == 1 else f"{IMAGE}/{kind}" for kind in kinds}
    samples = [Sample(row, {labels[image.kind]: image}) for row, image in zip(rows, images, strict=True)]
    groups = {label: [image for image in images if image.kind == kind] for kind, label in labels.items()}
    check_groups(choices, tuple(groups))
    columns = Columns((CLASSIFICATION,), {IMAGE: IMAGE}, {LABEL: LABEL})
    return _finish(SampleSet(source, columns, samples, {}, {}), groups, choices=choices, findings=findings)


def _are_sensors(images: Sequence[FoundImage]) -> bool:
    """Whether folders hold images of different kinds, or of the same places: then they are sensors and not classes."""
    kinds: dict[str, set[str]] = defaultdict(set)
    places: Counter[str] = Counter()
    for image in images:
        kinds[image.folder].add(image.kind)
        places[place_name(image)] += 1
    repeated = sum(count for count in places.values() if count > 1)
    return len({frozenset(found) for found in kinds.values()}) > 1 or 2 * repeated > len(images)


def _finish(found: SampleSet, groups: Groups, *, choices: DatasetChoices, findings: Findings) -> SampleSet:
    """The set with the sensors of its groups, without those that are left out."""
    kept = {label: images for label, images in groups.items() if label not in choices.leave_out and images}
    findings.guessed += [f"images in {line}" for line in describe_groups(kept)]
    samples = []
    for sample in found.samples:
        images = {label: image for label, image in sample.images.items() if label in kept}
        if images:
            samples.append(replace(sample, images=images))
        else:
            findings.skip(sample.row.source, "its image is left out")
    if not samples:
        raise DataError(f"{found.root}: no row can be used. {_first(findings)}")
    used = {label for sample in samples for label in sample.images}
    sensors = {
        label: choose_sensor(label, images, root=found.root, choices=choices, findings=findings)
        for label, images in kept.items()
        if label in used
    }
    check_roles(sensors)
    return replace(found, samples=samples, sensors=sensors, shapes=located(image for label in sensors for image in kept[label]))


def _first(findings: Findings) -> str:
    """The first thing that was skipped."""
    return f"The first of {len(findings.skipped)}: {findings.skipped[0].source}: {findings.skipped[0].reason}" if findings.skipped else ""
