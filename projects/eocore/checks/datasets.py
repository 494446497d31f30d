"""Every record of a config's datasets read once, before a training meets it: what is broken, where, and what there is."""

import inspect
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from eocore.checks.band_statistics import BandStatistics, describe_odd_bands, measure_bands
from eocore.checks.facts import ANNOTATION, DUPLICATE, IMAGE, MASK, DatasetFacts, Problem, problem_of
from eocore.checks.splits import tile_keys
from eocore.data.dataset import RecordDataset
from eocore.data.formats.entries import collecting_faults
from eocore.data.io.masks import decode_scene_mask
from eocore.data.io.readers import read_scene
from eocore.data.io.scene_sets import check_scenes
from eocore.data.records import MaskRef, Record
from eocore.data.single_questions import count_questions
from eocore.errors import ConfigError, DataError, DuplicateError, EOError
from eocore.registry import DATASETS
from eocore.sensors.scene import Scene

NOT_CHECKED = ("transforms", "limit", "group", "settings")
"""Arguments left at their defaults: all records are read as they stand, each by itself, so that its line can be named."""

SHORT_ANSWER_WORDS = 3
"""Longer answers are sentences, of which each stands for itself."""


@dataclass
class _Group:
    """What reading the records of one location found."""

    problems: list[Problem] = field(default_factory=list)
    sizes: list[str] = field(default_factory=list)
    mask_shares: list[float] = field(default_factory=list)
    empty_masks: list[str] = field(default_factory=list)
    full_masks: list[str] = field(default_factory=list)
    nodata: list[tuple[str, float]] = field(default_factory=list)
    bands: dict[tuple[str, str], BandStatistics] = field(default_factory=dict)
    tiles: dict[str, str] = field(default_factory=dict)
    misstated: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FoundDataset:
    """A dataset that a config names.

    Attributes:
        config: of the registry DATASETS, less `NOT_CHECKED`.
        sections: of the config that it stands in.
    """

    config: Mapping[str, Any]
    sections: frozenset[str] = frozenset()


USED_SECTIONS = ("task", "training", "evaluation")
"""Sections that read data. Others hold parts that a config is made of, of which a config that inherits it may use none."""


def find_datasets(values: Mapping[str, Any]) -> list[FoundDataset]:
    """The single datasets that stand in USED_SECTIONS of a config, each once; in one without these, anywhere.

    Raises:
        ConfigError: there is none.
    """
    found: dict[str, FoundDataset] = {}
    used = [section for section in USED_SECTIONS if any(_datasets_in(values.get(section)))]
    for section, node in ((name, node) for name in used or values for node in _datasets_in(values[name])):
        plain = {key: value for key, value in node.items() if key not in NOT_CHECKED}
        key = json.dumps(plain, sort_keys=True, default=str)
        before = found[key].sections if key in found else frozenset()
        found[key] = FoundDataset(plain, before | {section})
    if not found:
        raise ConfigError("the config names no dataset of annotated records, so there is nothing to check. Name a dataset.")
    return list(found.values())


def _datasets_in(node: Any) -> Iterator[Mapping[str, Any]]:
    for values in _mappings(node):
        factory = DATASETS.module_dict.get(values["type"]) if isinstance(values.get("type"), str) else None
        if inspect.isclass(factory) and issubclass(factory, RecordDataset):
            yield values


def _mappings(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        yield node
    inner = node.values() if isinstance(node, Mapping) else node if isinstance(node, list | tuple) else ()
    for value in inner:
        yield from _mappings(value)


def open_dataset(found: FoundDataset) -> tuple[DatasetFacts, RecordDataset | None]:
    """What the annotation file alone tells, and the dataset of its good records; None where there is none."""
    config = found.config
    annotations = str(config.get("annotations", ""))
    name = str(config.get("name") or Path(annotations).with_suffix(""))
    facts = DatasetFacts("/".join(Path(name).parts[-2:]), str(config["type"]), annotations, found.sections)
    with collecting_faults() as faults:
        try:
            dataset: RecordDataset | None = DATASETS.build(config)
        except EOError as error:
            dataset = None
            if not faults:
                facts.problems.append(Problem(ANNOTATION, (_where(error),), str(error)))
    for fault in faults:
        facts.problems.append(Problem(DUPLICATE if isinstance(fault, DuplicateError) else ANNOTATION, (_where(fault),), str(fault)))
    facts.num_entries = len(faults) + (len(dataset) if dataset else 0)
    if dataset:
        facts.lengths = dataset.lengths().tolist()
        facts.num_images = len({(path, ref.item) for record in dataset.records for ref in record.images for path in ref.paths})
        for record in dataset.records:
            _count(record, facts)
    return facts, dataset


def _where(error: Exception) -> str:
    """ "file:line" or "file#entry", with which the messages of annotation errors begin."""
    return str(error).split(": ", 1)[0]


def _count(record: Record, facts: DatasetFacts) -> None:
    facts.tasks[record.task] += 1
    if isinstance(record.meta.get("type"), str):
        facts.classes["question type"][record.meta["type"]] += 1
    for expression in record.expressions:
        facts.classes["phrase"][expression.text] += 1
    for label in record.labels:
        facts.classes["label"][label] += 1
    facts.num_questions += count_questions(record)
    for answer in (turn.text for turn in record.turns if turn.role == "assistant"):  # of a conversation each is one
        if answer and len(answer.split()) <= SHORT_ANSWER_WORDS:
            facts.classes["answer"][answer.strip().lower()] += 1


def read_dataset(dataset: RecordDataset, facts: DatasetFacts, *, num_workers: int, on_group: Callable[[int], None]) -> None:
    """Reads every image once and draws every mask, in `num_workers` processes; adds what is found to `facts`.

    Args:
        dataset: from `open_dataset`.
        facts: of the dataset.
        num_workers: processes; 0 = this one.
        on_group: called with the number of records after each location.
    """
    locations = _SharedImages(dataset)
    loader = DataLoader(locations, batch_size=None, num_workers=num_workers)
    for indexes, group in zip(locations.groups, loader, strict=True):
        _add(group, facts)
        on_group(len(indexes))
    facts.problems += _masks_all_alike(facts)
    facts.warnings += describe_odd_bands(facts.bands)
    if facts.misstated:
        facts.warnings.append(
            f"{len(facts.misstated):,} records state another size than their image has, so masks and boxes may lie elsewhere (the first: "
            f"{facts.misstated[0]}). Correct the sizes, or use the images that were annotated."
        )


def _add(group: _Group, facts: DatasetFacts) -> None:
    facts.problems += group.problems
    facts.sizes.update(group.sizes)
    facts.mask_shares += group.mask_shares
    facts.empty_masks += group.empty_masks
    facts.full_masks += group.full_masks
    facts.tiles.update(group.tiles)
    facts.misstated += group.misstated
    for role, fraction in group.nodata:
        facts.nodata[role].append(fraction)
    for band, statistics in group.bands.items():
        facts.bands[band] = facts.bands[band] + statistics if band in facts.bands else statistics


def _masks_all_alike(facts: DatasetFacts) -> list[Problem]:
    """The problem of a data set whose masks are all empty, or, being several, all cover their whole images; no images are annotated so."""
    count = len(facts.mask_shares)
    if count and len(facts.empty_masks) == count:
        found, learned, locations = "are empty", "draw nothing", facts.empty_masks
    elif count > 1 and len(facts.full_masks) == count:
        found, learned, locations = "cover their whole images", "fill every image", facts.full_masks
    else:
        return []
    message = (
        f"all {count} masks of the data set {found}: a model trained on them learns to {learned}, and a score on them means nothing. Look "
        "at the value that stands for the object, the size the masks are drawn in, and the order of their coordinates."
    )
    return [Problem(MASK, tuple(dict.fromkeys(locations)), message)]


class _SharedImages(Dataset[_Group]):
    """The records of a dataset by the images they show: those of one location, and of one window of it, are read together."""

    def __init__(self, dataset: RecordDataset) -> None:
        self.dataset = dataset
        groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for index, record in enumerate(dataset.records):
            groups[tuple((ref.label, ref.paths, ref.item, ref.window) for ref in record.images)].append(index)
        self.groups = list(groups.values())

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, number: int) -> _Group:
        records = [self.dataset.records[index] for index in self.groups[number]]
        group = _Group()
        scene = self._read_images(records, group)
        if scene is None:
            return group
        for record in records:
            stated, size = record.meta.get("image_size"), scene.turn.size(scene.size)
            if isinstance(stated, list | tuple) and tuple(stated) != size:
                group.misstated.append(f"{record.source}, {' x '.join(map(str, stated))} px, but the image has {size[0]} x {size[1]}")
            for mask in _masks(record):
                _draw(mask, record, scene=scene, group=group)
        return group

    def _read_images(self, records: Sequence[Record], group: _Group) -> Scene | None:
        """The first image, on which masks lie; None where an image cannot be read."""
        locations = [record.source for record in records]
        scenes: list[Scene] = []
        for ref in records[0].images:
            try:
                scene = read_scene(ref, root=self.dataset.image_root(ref))
            except Exception as error:  # the check continues whatever one file does
                group.problems.append(problem_of(error, IMAGE, locations=locations))
                continue
            scenes.append(scene)
            group.sizes.append(f"{ref.role} {scene.size[0]} x {scene.size[1]}")
            group.nodata.append((ref.role, float(np.isnan(scene.pixels).mean())))
            group.tiles.update(dict.fromkeys(tile_keys(scene), scene.path))
            for band, statistics in measure_bands(scene).items():
                group.bands[band] = group.bands[band] + statistics if band in group.bands else statistics
        if not scenes or len(scenes) < len(records[0].images):
            return None
        try:
            check_scenes(records[0].images, scenes, source=records[0].source)
        except DataError as error:
            group.problems.append(problem_of(error, IMAGE, locations=locations))
        return scenes[0]


def _masks(record: Record) -> list[MaskRef]:
    return [*record.masks, *record.regions, *(expression.mask for expression in record.expressions if expression.mask is not None)]


def _draw(mask: MaskRef, record: Record, *, scene: Scene, group: _Group) -> None:
    try:
        drawn = decode_scene_mask(mask, scene, source=record.source)
    except Exception as error:
        group.problems.append(problem_of(error, MASK, locations=[record.source]))
        return
    group.mask_shares.append(float(drawn.mean()))
    if not drawn.any():
        group.empty_masks.append(record.source)
    elif drawn.all():
        group.full_masks.append(record.source)
