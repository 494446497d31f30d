"""Samples of another source, augmented: whatever the data sets of a config are, one list of transforms comes after them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from eocore.data.changes import change_scenes, with_headers
from eocore.data.dataset import RecordDataset, SampleKey, SampleSource, Scenes, Transform, check_record
from eocore.data.io.readers import header_as_read, scene_header
from eocore.data.loading.error_policy import Origin
from eocore.data.records import Record
from eocore.errors import AlignmentError
from eocore.registry import TRANSFORMS
from eocore.text import some_of

MOST_LOOKED_AT = 500
"""Records of a data set whose words are looked at when a training begins, spread evenly."""
MOST_SHOWN = 3


class AugmentedSource(SampleSource):
    """The samples of a source after transforms that draw anew for each sample and epoch, from the sample's own generator.

    So a sample is the same whatever ranks, loader processes and resumptions there are.

    Args:
        source: whose samples.
        transforms: configs of the registry TRANSFORMS, applied in turn to each record after those of its data set.

    Raises:
        ConfigError: a transform is unknown, or an option of it is wrong.
    """

    def __init__(self, source: SampleSource, transforms: Sequence[Mapping[str, Any]]) -> None:
        self.source, self.name = source, source.name
        self.transforms: list[Transform] = [TRANSFORMS.build(config) for config in transforms]

    def __len__(self) -> int:
        return len(self.source)

    def draw(self, key: SampleKey, rng: np.random.Generator) -> tuple[Record, RecordDataset]:
        record, dataset = self.source.draw(key, rng)
        record = with_headers(record, lambda ref: scene_header(ref, root=dataset.image_root(ref)))
        return self._transformed(record, rng), dataset

    def read(self, key: SampleKey, rng: np.random.Generator) -> tuple[Record, Scenes]:
        before, scenes = self.source.read(key, rng)
        shown = dict(zip(before.images, scenes, strict=True))
        record = self._transformed(with_headers(before, lambda ref: header_as_read(shown[ref])), rng)
        if not set(record.images) <= set(shown):
            raise AlignmentError(f"{record.source}: a transform of the augmentation added images, which it cannot. Leave it out.")
        new = record.augmentation.changes[len(before.augmentation.changes) :]
        return record, change_scenes([shown[ref] for ref in record.images], new)

    def _transformed(self, record: Record, rng: np.random.Generator) -> Record:
        for transform in self.transforms:
            record = transform(record, rng)
        check_record(record)
        return replace(record, augmentation=replace(record.augmentation, header_of=None))

    def describe(self, key: SampleKey) -> str:
        return self.source.describe(key)

    def lengths(self, epoch: int = 0, *, image_tokens: int = 0) -> np.ndarray:
        return self.source.lengths(epoch, image_tokens=image_tokens)

    def origin(self, key: SampleKey) -> Origin:
        return self.source.origin(key)

    def replacement(self, key: SampleKey, rng: np.random.Generator) -> SampleKey:
        return self.source.replacement(key, rng)

    def leaves(self) -> list[RecordDataset]:
        return self.source.leaves()


def describe_unsafe_words(source: AugmentedSource, *, most: int | None = MOST_LOOKED_AT) -> list[str]:
    """A line for each transform and data set that has records which the transform leaves as they are for their words.

    A sample with several records stays as it is if one of them does.

    Args:
        source: of the samples.
        most: records of a data set that are looked at, spread evenly; None = all.
    """
    lines = []
    for transform in source.transforms:
        unsafe_words = getattr(transform, "unsafe_words", None)
        if unsafe_words is not None:
            found = (_unsafe_line(type(transform).__name__, leaf, unsafe_words=unsafe_words, most=most) for leaf in source.leaves())
            lines += [line for line in found if line]
    return lines


def _unsafe_line(name: str, leaf: RecordDataset, *, unsafe_words: Callable[[Record], str], most: int | None) -> str:
    total = len(leaf.records)
    positions = np.unique(np.linspace(0, total - 1, min(most or total, total)).round().astype(int))
    records = [leaf.records[position] for position in positions.tolist()]
    reasons = [f"{record.source}: {reason}" for record in records if (reason := unsafe_words(record))]
    if not reasons:
        return ""
    return (
        f"{name}: {len(reasons)} of {len(records)} records looked at in '{leaf.name}' keep what it would change, as their words cannot be "
        f"changed safely: {some_of(reasons, MOST_SHOWN)}"
    )
