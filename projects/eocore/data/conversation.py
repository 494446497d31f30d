"""All that several datasets ask about one image, as one conversation: the image is looked at once for many answers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from eocore.data.dataset import RecordDataset, SampleKey, SampleSource, Transform, check_record
from eocore.data.records import Record
from eocore.errors import AnnotationError, ConfigError
from eocore.portable.messages import IMAGE_PLACEHOLDER, Image, Text, Turn, joined, shifted, without_images
from eocore.registry import DATASETS, TRANSFORMS


@DATASETS.register_module()
class ImageConversations(SampleSource):
    """One sample an image: the questions of all its records, in an order drawn anew each time.

    Records belong together when they show the same files. Each record is taken through the transforms of its own dataset first; later
    questions lose their `<image>`, masks and regions keep their order. A model that trains on these answers single questions too: every
    question comes first in some draws.

    Args:
        datasets: configs of the registry DATASETS.
        max_questions: most questions of one sample; more are left out of this draw by chance, not for good.
        independent: a question does not see the others nor their answers, so that a model learns to look for each answer in the image
            and not in those before; the sample is worth as many of one question. Not for dialogues.
        transforms: configs of the registry TRANSFORMS, applied to the joined record.
        name: for messages.

    Raises:
        ConfigError: no dataset, or `max_questions` below 1.
    """

    def __init__(
        self,
        *,
        datasets: Sequence[Mapping[str, Any]],
        max_questions: int = 12,
        independent: bool = False,
        transforms: Sequence[Mapping[str, Any]] = (),
        name: str = "conversations",
    ) -> None:
        if not datasets or max_questions < 1:
            raise ConfigError(
                f"{name}: needs at least one dataset and max_questions of at least 1, found {len(datasets)} and {max_questions}."
            )
        self.name = name
        self.max_questions = max_questions
        self.independent = independent
        self.parts: list[RecordDataset] = [DATASETS.build(config) for config in datasets]
        self.transforms: list[Transform] = [TRANSFORMS.build(config) for config in transforms]
        groups: dict[tuple[Any, ...], list[tuple[RecordDataset, int]]] = {}
        for part in self.parts:
            for index, record in enumerate(part.records):
                key = tuple(sorted((ref.role, ref.time, ref.paths, ref.item, ref.window or ()) for ref in record.images))
                groups.setdefault(key, []).append((part, index))
        self.groups = list(groups.values())

    def __len__(self) -> int:
        return len(self.groups)

    def describe(self, key: SampleKey) -> str:
        part, index = self.groups[key.index][0]
        return f"{self.name}, index {key.index}, with {part.describe(SampleKey(key.epoch, index))}"

    def leaves(self) -> list[RecordDataset]:
        return list(self.parts)

    def lengths(self, epoch: int = 0, *, image_tokens: int = 0) -> np.ndarray:
        lengths = {id(part): part.lengths(epoch, image_tokens=image_tokens) for part in self.parts}
        return np.array([sum(int(lengths[id(part)][index]) for part, index in group) for group in self.groups], dtype=np.int64)

    def draw(self, key: SampleKey, rng: np.random.Generator) -> tuple[Record, RecordDataset]:
        group = self.groups[key.index]
        records = [part.transform(part.records[index], rng) for part, index in (group[int(turn)] for turn in rng.permutation(len(group)))]
        record = join(self._within_limit(records), independent=self.independent)
        for transform in self.transforms:
            record = transform(record, rng)
        check_record(record)
        return record, group[0][0]

    def _within_limit(self, records: Sequence[Record]) -> list[Record]:
        kept, questions = [records[0]], len(records[0].turns) // 2
        for record in records[1:]:
            if questions + len(record.turns) // 2 <= self.max_questions:
                kept.append(record)
                questions += len(record.turns) // 2
        return kept


def join(records: Sequence[Record], *, independent: bool = False) -> Record:
    """One record with the turns, masks and regions of all, in order; the image stays with the first question.

    Raises:
        AnnotationError: questions are to be independent, and an image does not stand in front of its question.
        ConfigError: the records were augmented before, each in its own way.
    """
    first = records[0]
    if any(record.augmentation.changes != first.augmentation.changes for record in records):
        raise ConfigError(
            f"{first.source}: records of one image were augmented each in its own way, so their words would not fit one image. Put what "
            "augments into the `transforms` of ImageConversations, which see all records of the image as one."
        )
    turns: list[Turn] = []
    regions = masks = 0
    for number, record in enumerate(records):
        own = _asked_anew(record) if independent else _after_others(record) if number else record.turns
        turns += [shifted(turn, regions=regions, masks=masks) for turn in own]
        regions, masks = regions + len(record.regions), masks + len(record.masks)
    if independent and first.images:
        turns[0] = Turn("user", (Image(), *turns[0].parts))
    return replace(
        first,
        independent=independent,
        turns=tuple(turns),
        masks=tuple(mask for record in records for mask in record.masks),
        regions=tuple(region for record in records for region in record.regions),
        expressions=tuple(expression for record in records for expression in record.expressions),
        task="chat",
    )


def _after_others(record: Record) -> list[Turn]:
    """The turns of a record, without its images, which the conversation has shown."""
    opening, *others = record.turns
    return [Turn("user", without_images(opening.parts)), *others]


def _asked_anew(record: Record) -> list[Turn]:
    """The turns of a record, each question as if it came first, without the images in front of it."""
    opening = record.turns[0].parts
    if record.images and not isinstance(next(iter(opening), None), Image):
        raise AnnotationError(
            f"{record.source}: {IMAGE_PLACEHOLDER} does not stand in front of {record.turns[0].text[:60]!r}; independent questions share "
            "what comes before them. Put it in front, or set independent=False."
        )
    shown = list(opening[1:]) if record.images else list(opening)
    lead = "\n" if record.images and shown and isinstance(shown[0], Text) and shown[0].text.startswith("\n") else ""
    asked = [Turn("user", joined(shown)), *record.turns[1:]]
    return [_led(turn, lead) if number and turn.role == "user" else turn for number, turn in enumerate(asked)]


def _led(turn: Turn, lead: str) -> Turn:
    """The turn, its text beginning with `lead`."""
    return Turn(turn.role, joined([Text("" if turn.text.startswith(lead) else lead), *turn.parts]))
