"""Predicting a data set under each sensor setting: batched, shared among ranks, resumed where it was stopped."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eocore.config import read_options
from eocore.data.dataset import RecordDataset, SampleKey
from eocore.data.masks import decode_mask, encode_rle
from eocore.data.records import ImageRef, Record
from eocore.errors import ConfigError, DataError
from eocore.evaluate.predictions import SETTINGS, Prediction
from eocore.evaluate.shards import PredictionWriter
from eocore.log import get_logger
from eocore.registry import DATASETS
from eocore.sensors.scene import Scene

Sample = tuple[Record, dict[str, Scene]]


class AnswerLike(Protocol):
    """What an answerer gives: text and masks (K, H, W) bool."""

    text: str
    masks: np.ndarray


Answerer = Callable[[Sequence[Sample]], Sequence[AnswerLike]]


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Config section `evaluation`.

    Attributes:
        datasets: configs of the registry DATASETS, one question a record.
        settings: name (optical, sar, multispectral, fused) -> modalities fed.
        batch_size: samples answered together.
        max_new_tokens: longest answer.
        seed: of transforms that draw.
    """

    datasets: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Sequence[str]]
    batch_size: int = 8
    max_new_tokens: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = sorted(set(self.settings) - set(SETTINGS))
        if unknown or not self.settings:
            raise ConfigError(f"evaluation.settings names {unknown or 'nothing'}; choices: {', '.join(SETTINGS)}.")
        for name in ("batch_size", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"evaluation.{name} is {getattr(self, name)}; expected at least 1.")


def read_evaluation(section: Mapping[str, Any]) -> EvaluationOptions:
    """The options of a config's `evaluation` section."""
    return read_options(EvaluationOptions, section, "evaluation")


def build_sources(options: EvaluationOptions) -> Iterator[tuple[str, RecordDataset]]:
    """(setting, data set) for every setting and data set; the same records under each setting.

    Raises:
        ConfigError: a data set without records of its own (a mixture), or two in which samples of one task share an id.
    """
    for setting, modalities in options.settings.items():
        choose = {"type": "ChooseModalities", "settings": {setting: list(modalities)}}
        taken: dict[tuple[str, str], RecordDataset] = {}
        for config in options.datasets:
            source = DATASETS.build({**config, "transforms": [*config.get("transforms", ()), choose]})
            _claim_ids(source, taken)
            yield setting, source


def _claim_ids(source: Any, taken: dict[tuple[str, str], RecordDataset]) -> None:
    """Notes whose the ids are: predictions are told apart by task and id, so the second of a pair would never be predicted."""
    if not isinstance(source, RecordDataset):
        raise ConfigError(f"evaluation.datasets holds a {type(source).__name__}, which has no records of its own. Name its parts.")
    for record in source.records:
        owner = taken.setdefault((record.task, record.sample_id), source)
        if owner is not source:
            raise ConfigError(
                f"evaluation.datasets: sample '{record.sample_id}' ({record.task}) is in '{owner.name}' and in '{source.name}', and only "
                "one of them would be predicted. Give them other ids, or evaluate them one after the other."
            )


def predict(
    source: RecordDataset, answerer: Answerer, writer: PredictionWriter, *, setting: str, options: EvaluationOptions,
    rank: int = 0, world_size: int = 1, on_samples: Callable[[int], None] = lambda count: None,
) -> None:  # fmt: skip
    """Writes this rank's predictions of one data set; samples that stand in the writer's file are not predicted again.

    A sample whose images cannot be read is written with `prediction` null: it counts as missing, never drops out.
    """
    batch: list[tuple[Prediction, Sample]] = []
    for index in range(rank, len(source), world_size):
        try:
            record, scenes, _ = source.load(SampleKey(0, index), seed=options.seed)
            blank = describe(record, scenes, setting)
        except DataError as error:
            get_logger().warning("%s cannot be read and counts as missing: %s", source.describe(SampleKey(0, index)), error)
            blank, scenes = describe_unread(source, SampleKey(0, index), setting), {}
            record = None
        if blank.key in writer:
            on_samples(1)
        elif record is None:
            writer.write(blank)
            on_samples(1)
        else:
            batch.append((blank, (record, scenes)))
        if len(batch) == options.batch_size:
            on_samples(_answer(batch, answerer, writer))
            batch = []
    if batch:
        on_samples(_answer(batch, answerer, writer))


def _answer(batch: Sequence[tuple[Prediction, Sample]], answerer: Answerer, writer: PredictionWriter) -> int:
    for (blank, _), answer in zip(batch, answerer([sample for _, sample in batch]), strict=True):
        masks = tuple(encode_rle(mask) for mask in answer.masks)
        writer.write(Prediction(**{**blank.__dict__, "prediction": answer.text, "prediction_masks": masks}))
    return len(batch)


def describe(record: Record, scenes: Mapping[str, Scene], setting: str) -> Prediction:
    """The line of a record before it is predicted: what is asked, and the truth."""
    masks: tuple[Mapping[str, Any], ...] = ()
    if record.masks:
        size = next(iter(scenes.values())).size
        masks = tuple(encode_rle(decode_mask(mask, size, source=record.source, root=None)) for mask in record.masks)
    answer = record.meta.get("answer") or next((turn.text for turn in record.turns if turn.role == "assistant"), "")
    meta = {name: value for name, value in record.meta.items() if name != "answer"}
    images = tuple(_image_id(ref) for ref in record.images.values())
    return Prediction(record.sample_id, record.task, images, setting, record.turns[0].text, None, str(answer), meta, (), masks)


def describe_unread(source: RecordDataset, key: SampleKey, setting: str) -> Prediction:
    """The line of a record whose images cannot be read; without them its masks have no size and stay out."""
    record = source.records[key.index]
    images = tuple(_image_id(ref) for ref in record.images.values()) or (record.sample_id,)
    return Prediction(
        record.sample_id, record.task, images, setting, "", None, str(record.meta.get("answer", "")), dict(record.meta), (), ()
    )


def _image_id(ref: ImageRef) -> str:
    return Path(ref.paths[0]).stem
