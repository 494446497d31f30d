"""One's own files made into a data set to train and evaluate on: config, annotation files of the splits, and what was guessed."""

import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eocore.errors import ConfigError, DataError, OutputError
from eocore.files import write_file
from eocore.onboarding.choices import CLASSIFICATION, SPLITS, DatasetChoices, Findings
from eocore.onboarding.config_text import read_base
from eocore.onboarding.entries import EntryMaker, text_of
from eocore.onboarding.places import PlaceSets, group_places
from eocore.onboarding.planned_files import GUESSES_FILE, SPLITS_FILE, MadeEntry, plan_files
from eocore.onboarding.samples import SampleSet, find_samples
from eocore.onboarding.sources import NamedImages, name_images
from eocore.onboarding.splitting import describe_splits, read_splits, split_places

CONFIG_SUFFIXES = (".yaml", ".yml", ".json")
MOST_SKIPPED = 0.5
"""Share of what was found that may be skipped; beyond it the table, or an option, is taken for wrong."""


@dataclass(frozen=True)
class NewDataset:
    """What was made.

    Attributes:
        config: its file.
        folder: of the annotation files.
        findings: what was guessed.
        splits: records and places of each split, in one line.
    """

    config: Path
    folder: Path
    findings: Findings
    splits: str


def make_dataset(
    source: Path, config: Path, *, choices: DatasetChoices, base: str, root: Path | None = None, overwrite: bool = False
) -> NewDataset:
    """Writes `config`, and beside it a folder of its name with annotation files for each split, the splits and what was guessed.

    Args:
        source: folder or table.
        config: .yaml or .json to write.
        choices: of the user.
        base: config to inherit, by name.
        root: folder that paths of the table are relative to; None = the table's own.
        overwrite: replace an earlier one.

    Raises:
        ConfigError: the files leave several readings, the base is unknown, or `config` is no name of a config.
        DataError: nothing, or too little, of the data can be used.
        OutputError: there is an earlier one.
    """
    folder = config.with_suffix("")
    earlier = _find_earlier(source, config, overwrite=overwrite)
    inherited = read_base(base)
    findings = Findings()
    found = find_samples(source, choices, findings=findings, root=root)
    made, sources = _entries(found, choices, findings=findings)
    _check_skipped(len(found.samples), findings, source=source)
    places = _places(found, choices, findings=findings)
    place_of = [places.find(item.sample.anchor.path) for item in made]
    splits = _splits(made, place_of, found=found, choices=choices, findings=findings)
    made_places = [item.placed(place, splits[place]) for item, place in zip(made, place_of, strict=True)]
    told = describe_splits(splits, Counter(place_of))
    comments = (
        f"Made by tools/new_dataset.py from {source}: {told}.",
        f"What it guessed: {folder / GUESSES_FILE}. What does not stand here comes from _base_; tools/print_config.py shows all.",
        "Paths are relative to the folder in which commands are run:",
        f"  bash tools/dist.sh train {config} 2",
    )
    files = plan_files(made_places, sources, base=inherited, config=config, comments=comments, findings=findings)
    for path in earlier:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path, text in files.items():
        write_file(path, text)
    return NewDataset(config, folder, findings, told)


def _find_earlier(source: Path, config: Path, *, overwrite: bool) -> list[Path]:
    """What an earlier call has written, which is replaced. Raises an error where nothing may be written."""
    if config.suffix not in CONFIG_SUFFIXES:
        raise ConfigError(f"--out {config}: expected a name that ends in {', '.join(CONFIG_SUFFIXES)}; which is read without trust.")
    if not source.exists():
        raise DataError(f"{source}: no such folder or file. Name the folder of the images, or the table.")
    folder = config.with_suffix("")
    there = [path for path in (config, folder) if path.exists()]
    ours = not folder.exists() or (folder / SPLITS_FILE).is_file()
    if there and not (overwrite and ours):
        remedy = "Replace it with --overwrite, or name another --out." if ours else "It is not of this command: name another --out."
        raise OutputError(f"{there[0]} is there already. {remedy}")
    return there


def _entries(found: SampleSet, choices: DatasetChoices, *, findings: Findings) -> tuple[list[MadeEntry], NamedImages]:
    named = name_images(found.samples, found.sensors, root=found.root)
    column = found.columns.fields.get("label", "")
    labelled = [sample.row for sample in found.samples if column in sample.row.values] if CLASSIFICATION in found.columns.tasks else []
    classes = sorted({text_of(row, column) for row in labelled})
    maker = EntryMaker(found.columns, choices, root=found.root, sensors=found.sensors, classes=classes)
    made = []
    for task in found.columns.tasks:
        for sample, name in zip(found.samples, named.names, strict=True):
            try:
                made += [MadeEntry(task, sample, entry) for entry in maker.make(task, sample, image=name)]
            except DataError as error:
                findings.skip(sample.row.source, error)
    return made, named


def _check_skipped(num_samples: int, findings: Findings, *, source: Path) -> None:
    """Raise DataError if so much is skipped that something else must be wrong."""
    skipped = len({item.source for item in findings.skipped})
    if skipped and skipped >= MOST_SKIPPED * max(num_samples, skipped):
        first = findings.skipped[0]
        raise DataError(
            f"{source}: {skipped} rows or files cannot be used, {num_samples} rows have images; too many for single faults. The first: "
            f"{first.source}: {first.reason} Correct the table, or the option that reads it."
        )


def _places(found: SampleSet, choices: DatasetChoices, *, findings: Findings) -> PlaceSets:
    """Sets of images of one place; those of one sample, and of one value of the place column, are joined."""
    images = {image.path: image for sample in found.samples for image in sample.images.values()}
    sets = group_places(images, root=found.root, shapes=found.shapes, choices=choices, findings=findings)
    for sample in found.samples:
        sets.join([image.path for image in sample.images.values()])
    column = found.columns.fields.get("place")
    if column:
        named: dict[str, list[str]] = defaultdict(list)
        for sample in found.samples:
            if column in sample.row.values:
                named[str(sample.row.values[column])].append(sample.anchor.path)
        for paths in named.values():
            sets.join(paths)
        findings.guessed.append(f"places: {len(named)} values of column {column} keep their images together")
    return sets


def _splits(
    made: Sequence[MadeEntry], places: Sequence[str], *, found: SampleSet, choices: DatasetChoices, findings: Findings
) -> dict[str, str]:
    """Place -> split."""
    column = found.columns.fields.get("split")
    if column and choices.fractions is None:
        rows = [(place, item.sample.row) for place, item in zip(places, made, strict=True)]
        return read_splits([(place, text_of(row, column), row.source) for place, row in rows], findings)
    splits = split_places(Counter(places), choices)
    findings.guessed.append("splits: drawn by place; " + ", ".join(f"{name} {list(splits.values()).count(name)} places" for name in SPLITS))
    return splits
