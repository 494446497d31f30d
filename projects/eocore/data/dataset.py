"""Datasets: records of one annotation file with their images, and the torch dataset that prepares them."""

import copy
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
from torch.utils.data import Dataset

from eocore.data.changes import change_scenes
from eocore.data.formats.entries import collected_faults, collecting_faults, each
from eocore.data.image_sources import ImageSource, build_sources
from eocore.data.io.scene_sets import read_scenes
from eocore.data.loading.error_policy import MAX_ATTEMPTS, Fault, FaultOptions, Origin, report_entries
from eocore.data.loading.worker_status import note_sample
from eocore.data.records import ImageRef, Record, Window
from eocore.errors import (
    AlignmentError,
    AnnotationError,
    ConfigError,
    DataError,
    DuplicateError,
    EOError,
    SampleError,
    describe_unforeseen,
)
from eocore.log import get_logger
from eocore.portable.messages import IMAGE_PLACEHOLDER, REGION_PLACEHOLDER, ROLES, SEG_PLACEHOLDER, Image, Region, Seg
from eocore.registry import DATASETS, TRANSFORMS
from eocore.sensors.scene import Scene

Transform = Callable[[Record, np.random.Generator], Record]
STOP = FaultOptions()
Scenes = tuple[Scene, ...]
"""The images of a record, in its order."""


class Prepare(Protocol):
    """Makes the model's sample of a record; given by the system."""

    def __call__(self, record: Record, scenes: Scenes, /, *, rng: np.random.Generator) -> Any:
        """The sample; `rng` is the sample's own generator."""


@dataclass(frozen=True)
class ImageRules:
    """What a system takes for images.

    Attributes:
        roles: of the images that its processor reads; None = any.
        tokens: of one image in its language model, about; batches of samples of like length are made by it.
    """

    roles: tuple[str, ...] | None = None
    tokens: int = 0


ANY_IMAGES = ImageRules()


class SampleKey(NamedTuple):
    """Which sample: the `index`-th of the dataset in this `epoch`. The epoch seeds its randomness."""

    epoch: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which no key needs


def random_stream(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """A generator that depends on its arguments alone; streams of different purposes are independent.

    Raises:
        ConfigError: a negative seed.
    """
    if seed < 0:
        raise ConfigError(f"seed must be 0 or more, found {seed}.")
    return np.random.default_rng((seed, zlib.crc32(purpose.encode()), *numbers))


def estimate_length(record: Record) -> int:
    """About how many tokens the text of the record takes [tokens]: its words."""
    texts = [turn.text for turn in record.turns] or [expression.text for expression in record.expressions] or record.captions
    return sum(len(text.split()) for text in texts)


class SampleSource(ABC):
    """Anything samples are drawn from by key: one dataset, or a mixture of several.

    Attributes:
        name: for messages.
        uncompared, sections: what a resumed training need not find unchanged; see `eocore.resolve`.
    """

    uncompared: ClassVar[Mapping[str, str]] = {"name": "stands in messages only"}
    sections: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    name: str

    @abstractmethod
    def __len__(self) -> int:
        """Samples in one epoch."""

    def draw(self, key: SampleKey, rng: np.random.Generator) -> "tuple[Record, RecordDataset]":
        """The transformed record, and the dataset that it is of, which knows where its images lie; opens no image.

        Raises:
            ConfigError: this kind of dataset cannot tell.
        """
        raise ConfigError(f"{self.name}: {type(self).__name__} draws no records without their images, so it cannot be packed.")

    def read(self, key: SampleKey, rng: np.random.Generator) -> tuple[Record, Scenes]:
        """The transformed record and its scenes, in the order of its images, with the changes that its augmentation asks for."""
        record, dataset = self.draw(key, rng)
        scenes = read_scenes(record.images, root_of=dataset.image_root, source=record.source)
        return record, change_scenes(scenes, record.augmentation.changes)

    @abstractmethod
    def describe(self, key: SampleKey) -> str:
        """Dataset name, index, sample id and source of the sample, for messages."""

    @abstractmethod
    def lengths(self, epoch: int = 0, *, image_tokens: int = 0) -> np.ndarray:
        """(N,) int64 estimated length [tokens] of each sample of `epoch`.

        Args:
            epoch: on which the order of the samples may depend.
            image_tokens: what the system takes for one image, about; 0 = the text alone counts.
        """

    def origin(self, key: SampleKey) -> Origin:
        """The dataset the sample comes from, and its position there."""
        return Origin(self.name, len(self), self.describe(key))

    def replacement(self, key: SampleKey, rng: np.random.Generator) -> SampleKey:
        """Another sample, of the same dataset, drawn from `rng`."""
        return SampleKey(key.epoch, int(rng.integers(len(self))))

    def leaves(self) -> "list[RecordDataset]":
        """The datasets of single annotation files that samples come from."""
        return []

    def load(self, key: SampleKey, *, seed: int = 0) -> tuple[Record, Scenes, np.random.Generator]:
        """One sample, its scenes, and its own generator seeded by (seed, epoch, index); the transforms have drawn from it already."""
        rng = random_stream(seed, "sample", *key)
        record, scenes = self.read(key, rng)
        return record, scenes, rng


@dataclass(kw_only=True, eq=False, repr=False)
class RecordDataset(SampleSource):
    """The records of one annotation file. A subclass says how to parse the file and nothing else.

    A subclass with options of its own is a dataclass too; what it derives from them it sets in `__post_init__` before it calls that of this
    class, which parses.

    Args:
        annotations: the annotation file.
        images: role -> fields of `eocore.data.image_sources.ImageSource`.
        transforms: configs of the registry TRANSFORMS, applied in turn to each record on each draw.
        limit: only the first so many records; None = all.
        name: for messages; "" = the annotation file's stem.
        estimate: length of a record's text [tokens], for length-aware sampling.
        where: field of meta -> the value, or list of values, that records must have there to be taken, as {"cloudy": False}; how many were
            left out is logged. {} = all. It chooses before `limit` does.

    Raises:
        ConfigError: wrong role or image source, or a limit below 1; or `where` names a field that no record has.
        DataError: the file is missing, or holds no record.
        AnnotationError: the file breaks its format, or two records share a sample id.
        AlignmentError: placeholders of a record do not fit its images, regions or masks.

    Attributes:
        sources: role -> where its images lie.
        annotation_files: what `parse` reads.
        built_transforms: the transforms.
        records: of the file's good entries.
        entry_faults: what is wrong with the others, where faults are collected; else the first one is raised.
    """

    uncompared: ClassVar[Mapping[str, str]] = {
        **SampleSource.uncompared,
        "annotations": "the content of the files is compared, not where they lie",
    }
    sections: ClassVar[Mapping[str, Callable[..., Any]]] = {"images.*": ImageSource}

    annotations: str
    images: Mapping[str, Mapping[str, Any]]
    transforms: Sequence[Mapping[str, Any]] = ()
    limit: int | None = None
    name: str = ""
    estimate: Callable[[Record], int] = estimate_length
    where: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        annotations = Path(self.annotations)
        self.name = self.name or annotations.stem
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"{self.name}: limit must be at least 1 or None, found {self.limit}.")
        self.sources = build_sources(self.images, self.name)
        self.annotation_files = [annotations]
        self.built_transforms: list[Transform] = [TRANSFORMS.build(config) for config in self.transforms]
        first: dict[str, str] = {}
        known_faults = len(collected_faults())
        self.records = each(self._chosen(self.parse(annotations))[: self.limit], lambda record: _check_new(record, first))
        self.entry_faults = collected_faults()[known_faults:]
        if not self.records and self.entry_faults:
            raise DataError(f"{annotations}: all entries of dataset '{self.name}' are broken; the first: {self.entry_faults[0]}")
        if not self.records:
            raise DataError(f"{annotations}: no record for dataset '{self.name}'. Check the file and the split, or leave the dataset out.")
        self._measure()

    def _chosen(self, records: list[Record]) -> list[Record]:
        """The records that `where` asks for."""
        if not self.where or not records:
            return records
        for key in self.where:
            if not any(key in record.meta for record in records):
                known = ", ".join(sorted({name for record in records for name in record.meta})) or "none"
                raise ConfigError(f"{self.name}: where names the field '{key}', which no record has; their fields: {known}. Correct it.")
        wanted = {key: value if isinstance(value, list | tuple) else [value] for key, value in self.where.items()}
        chosen = [record for record in records if all(key in record.meta and record.meta[key] in wanted[key] for key in wanted)]
        get_logger().info("%s: %d of %d records are as %s asks", self.name, len(chosen), len(records), dict(self.where))
        return chosen

    def _measure(self) -> None:
        self._text_lengths = np.array([self.estimate(record) for record in self.records], dtype=np.int64)
        self._num_images = np.array([len(record.images) for record in self.records], dtype=np.int64)

    def with_records(self, records: Sequence[Record]) -> Self:
        """The dataset with other records of the same file, such as a choice of its own."""
        other = copy.copy(self)
        other.records = list(records)
        other._measure()
        return other

    @abstractmethod
    def parse(self, path: Path) -> list[Record]:
        """All records of the annotation file, in its order."""

    def locate_images(self, image: str, source: str, *, window: Window | None = None) -> tuple[ImageRef, ...]:
        """The images that the annotation's image field names, one of each role that has files, in the order of the config.

        Args:
            image: the field.
            source: "file:line" or "file#entry", for messages.
            window: the part of each file that is the image; sensors that have one must have pixels of one size.

        Raises:
            ConfigError: the config gives no image source.
            DataError: no role has a file.
        """
        if not self.sources:
            raise ConfigError(f"{self.name}: {source} names image '{image}', but the config gives no `images`.")
        found = (part.locate(image, source, role=role) for role, part in self.sources.items())
        refs = tuple(replace(ref, window=window) for ref in found if ref is not None)
        if not refs:
            raise DataError(f"{source}: image '{image}' has no file in any of {', '.join(self.sources)}. Fetch it or drop the entry.")
        return refs

    def image_root(self, ref: ImageRef) -> Path:
        """The folder that an image of its records lies in, and does not leave."""
        return Path(self.sources[ref.role].root)

    def __len__(self) -> int:
        return len(self.records)

    def describe(self, key: SampleKey) -> str:
        record = self.records[key.index]
        return f"dataset '{self.name}', index {key.index}, sample '{record.sample_id}' ({record.source})"

    def lengths(self, epoch: int = 0, *, image_tokens: int = 0) -> np.ndarray:
        return self._text_lengths + image_tokens * self._num_images

    def leaves(self) -> "list[RecordDataset]":
        return [self]

    def transform(self, record: Record, rng: np.random.Generator) -> Record:
        """The record after the dataset's transforms."""
        for transform in self.built_transforms:
            record = transform(record, rng)
        check_record(record)
        return record

    def draw(self, key: SampleKey, rng: np.random.Generator) -> "tuple[Record, RecordDataset]":
        return self.transform(self.records[key.index], rng), self


def build_dataset(config: Mapping[str, Any] | None, options: FaultOptions = STOP, *, roles: Collection[str] | None = None) -> SampleSource:
    """The dataset of a config; broken entries of its annotation files are left out and logged where the policy is to skip.

    Args:
        config: of the registry DATASETS.
        options: what becomes of broken entries.
        roles: of the images that the model's processor reads; None = any.

    Raises:
        ConfigError: as the dataset's constructor, or an image source or a transform names a role that the model does not read.
        DataError: as the dataset's constructor; with "skip", more entries of a file are broken than allowed.
    """
    if not options.skips:
        dataset: SampleSource = DATASETS.build(config)
    else:
        with collecting_faults():
            dataset = DATASETS.build(config)
    if roles is not None:
        _check_roles(dataset, roles)
    for part in dataset.leaves():
        if part.entry_faults:
            report_entries(part.name, len(part) + len(part.entry_faults), faults=part.entry_faults, options=options)
    return dataset


def _check_roles(dataset: SampleSource, known: Collection[str]) -> None:
    """Raise ConfigError if images or transforms of a dataset name a role that is not among `known`."""
    for leaf in dataset.leaves():
        named = [*leaf.sources, *(role for transform in leaf.built_transforms for role in getattr(transform, "roles", ()))]
        unknown = sorted(set(named) - set(known))
        if unknown:
            raise ConfigError(
                f"dataset '{leaf.name}': its images or transforms name the role {', '.join(unknown)}, which this model does not read; its "
                f"roles are {', '.join(known)}. Correct the word, or leave the image source out."
            )


class PreparedDataset(Dataset[Any]):
    """What the model takes, by `SampleKey`.

    Args:
        dataset: where the samples come from.
        prepare: given by the system; returns a `NamedTuple` with a field `faults` where broken samples are replaced.
        seed: of all per-sample randomness.
        faults: what becomes of broken samples.
    """

    def __init__(self, dataset: SampleSource, prepare: Prepare, *, seed: int, faults: FaultOptions = STOP) -> None:
        self.faults = faults
        self.dataset = dataset
        self.prepare = prepare
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def describe(self, key: tuple[int, int]) -> str:
        """Dataset name, index, sample id and source of a sample, for messages."""
        return self.dataset.describe(SampleKey(*key))

    def __getitem__(self, key: tuple[int, int]) -> Any:
        """One prepared sample; the only code that meets a broken one.

        Where broken samples are replaced, the sample's field `faults` says what was wrong.

        Raises:
            DataError: of the class the fault has, naming dataset, index and sample id. Where broken samples are replaced: many
                replacements were broken too.
            SampleError: it failed for a reason nobody foresaw.
        """
        key = SampleKey(*key)
        if not self.faults.skips:
            return self._prepare(key)
        found: list[Fault] = []
        tried = key
        for attempt in range(1 + MAX_ATTEMPTS):
            try:
                return self._prepare(tried)._replace(faults=tuple(found))
            except DataError as error:
                found.append(Fault(self.dataset.origin(tried), str(error)))
                tried = self.dataset.replacement(key, random_stream(self.seed, "replacement", *key, attempt))
        raise DataError(f"{MAX_ATTEMPTS} replacements were broken too, the last: {found[-1].message} Find all with tools/check_data.py.")

    def _prepare(self, key: SampleKey) -> Any:
        note_sample(*key)
        try:
            record, scenes, rng = self.dataset.load(key, seed=self.seed)
            return self.prepare(record, scenes, rng=rng)
        except DataError as error:
            raise type(error)(f"{self.dataset.describe(key)}: {error}") from error
        except EOError:
            raise
        except Exception as error:
            raise SampleError(
                f"{self.dataset.describe(key)}, epoch {key.epoch}: preparing it failed with {describe_unforeseen(error)}. Expected a "
                "sample, or an error that says what is wrong with the file: this is a fault of the program, or data of a kind it has not "
                "met. The training cannot continue. Look at the file and the trace; leave the entry out or fix the code, then continue "
                "with --resume."
            ) from error


def check_record(record: Record) -> None:
    """Raise AnnotationError or AlignmentError unless turns alternate and every part has its image, region or mask, and the reverse.

    Raises:
        AnnotationError: a turn is out of turn, images are shown twice or not at all, or an answer or a phrase holds a placeholder.
        AlignmentError: regions or masks and the parts that refer to them do not count up.
    """
    for position, turn in enumerate(record.turns):
        if turn.role != ROLES[position % 2]:
            raise AnnotationError(f"{record.source}: turn {position} is the {turn.role}'s; user and assistant take turns, the user first.")
        if turn.role == "assistant" and _holds_placeholder(turn.text):
            raise AnnotationError(
                f"{record.source}: an answer holds {IMAGE_PLACEHOLDER} or {REGION_PLACEHOLDER}, which only user text may. Reword it."
            )
    for expression in record.expressions:
        if _holds_placeholder(expression.text):
            raise AnnotationError(
                f"{record.source}: phrase '{expression.text}' holds {IMAGE_PLACEHOLDER} or {REGION_PLACEHOLDER}. Reword it."
            )
    if not all(text.strip() for text in (*record.captions, *record.labels)):
        raise AnnotationError(f"{record.source}: a caption or label is empty. Correct the entry.")
    if len(set(record.labels)) < len(record.labels):
        raise AnnotationError(f"{record.source}: a label is duplicated in {list(record.labels)!r}. Correct the entry.")
    if record.turns:
        _check_images(record)
        parts = [part for turn in record.turns for part in turn.parts]
        regions = [part.index for part in parts if isinstance(part, Region)]
        masks = [part.index for part in parts if isinstance(part, Seg)]
        _check_indices(sorted(regions), len(record.regions), what=f"{REGION_PLACEHOLDER} in the text but {{}} region masks", record=record)
        _check_indices(masks, len(record.masks), what=f"{SEG_PLACEHOLDER} in the text but {{}} masks", record=record)


def _holds_placeholder(text: str) -> bool:
    return IMAGE_PLACEHOLDER in text or REGION_PLACEHOLDER in text


def _check_images(record: Record) -> None:
    """Raise AnnotationError unless the first question shows all images once, or the questions show each by its index once."""
    shown = [[part.index for part in turn.parts if isinstance(part, Image)] for turn in record.turns if turn.role == "user"]
    by_index = sorted(index for indices in shown for index in indices if index is not None)
    if by_index and by_index == list(range(len(record.images))) and len(by_index) == sum(map(len, shown)):
        return
    counts = [len(indices) for indices in shown]
    if by_index or counts[0] != bool(record.images) or any(counts[1:]):
        raise AnnotationError(
            f"{record.source}: {IMAGE_PLACEHOLDER} stands {counts} times in the user turns; a sample with images has it once, in the "
            "first, a sample without has none. Correct the text."
        )


def _check_indices(found: Sequence[int], count: int, *, what: str, record: Record) -> None:
    """Raise AlignmentError unless `found` is 0, 1, ... up to `count` - 1."""
    if len(found) != count:
        raise AlignmentError(f"{record.source}: {len(found)} {what.format(count)}; each needs the other. Correct the entry.")
    if list(found) != list(range(count)):
        raise AlignmentError(
            f"{record.source}: the text refers to the masks {list(found)}, expected {list(range(count))}, each once and masks in order; "
            "otherwise answers would be learned from others. Correct the parser of this format."
        )


def _check_new(record: Record, first: dict[str, str]) -> Record:
    """`record`, checked, and noted in `first` (sample id -> source)."""
    if record.sample_id in first:
        raise DuplicateError(
            f"{record.source}: sample id '{record.sample_id}' is taken by {first[record.sample_id]}; predictions are matched by id. "
            "Make it unique, or number the entries instead of naming them where the dataset class has id_field (id_field=None)."
        )
    check_record(record)
    first[record.sample_id] = record.source
    return record
