"""Answers of a model in training, asked and scored as an evaluation asks and scores those of a converted one."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from eocore.data.dataset import RecordDataset, SampleKey
from eocore.data.records import Record
from eocore.distributed import Ranks, find_on_first
from eocore.errors import ConfigError, DataError
from eocore.evaluate import datasets as _datasets  # noqa: F401  (registers what configs name)
from eocore.evaluate.engine.inputs import PREDICTIONS
from eocore.evaluate.engine.predicting import Lost, RankSamples, describe_unread, image_key, key_of, respond_to_samples
from eocore.evaluate.engine.responders import Responder, ResponseOptions, make_responder
from eocore.evaluate.engine.shards import PredictionWriter, write_predictions
from eocore.evaluate.engine.sources import EvaluationOptions, find_sources
from eocore.evaluate.predictions import Prediction, read_predictions
from eocore.evaluate.registration import register_systems
from eocore.evaluate.scoring import scorers as _scorers  # noqa: F401  (registers them)
from eocore.evaluate.scoring.scorers.base import Judged, NamesMeasures, Scorer
from eocore.evaluate.settings import SETTINGS
from eocore.evaluate.tasks import GENERATES, protocol_of, scorer_of
from eocore.evaluate.vectors import SHARD_SUFFIX
from eocore.log import get_logger
from eocore.predict.validation_picture import Question, draw_questions
from eocore.registry import METRICS
from eocore.system import PredictorOptions, system_of_config
from eocore.text import did_you_mean
from eocore.train.validation.answers import Answered, AnswersRequest, Watch
from eocore.train.validation.held_out_loss import has_records

WRITING = "answers.part.jsonl"
"""Answers of a validation that is not complete."""
Line = tuple[Prediction, np.ndarray | None]
"""An answer, and its class scores or vectors where it has some."""


@dataclass(frozen=True)
class Part:
    """The chosen questions of a data set under a setting.

    Attributes:
        setting: one of SETTINGS.
        dataset: the questions, those about one image together.
        protocol: through which the model is asked.
    """

    setting: str
    dataset: RecordDataset
    protocol: str


class ScoredAnswers:
    """See `eocore.train.validation.answers.Answers`.

    Args:
        request: what is wanted.

    Raises:
        ConfigError: the system does not answer while it trains, a metric is none of the data's tasks, or a data set has no records of its
            own.
        DataError: no question, or a setting that applies to none.
    """

    def __init__(self, request: AnswersRequest) -> None:
        system = system_of_config(request.config)
        make = system.need(system.training_predictor, "answers cannot be scored while a model of it trains (training.validation.metrics)")
        register_systems([system.name])
        options = request.options
        self.request, self.ranks = request, request.ranks
        self.predictor = make(request.task, PredictorOptions(generation=options.generation))
        self.parts = self._choose_parts()
        self.names = _metric_names(self.parts, options.metrics)

    @property
    def num_questions(self) -> int:
        """See `Answers`."""
        return sum(len(part.dataset) for part in self.parts)

    @cached_property
    def _batches(self) -> list[tuple[Part, list[int]]]:
        """Questions answered together, the same on any number of ranks: what shares a batch decides how answers round."""
        size = self.request.options.batch_size
        indices = [(part, list(range(len(part.dataset)))) for part in self.parts]
        return [(part, own[start : start + size]) for part, own in indices for start in range(0, len(own), size)]

    def _choose_parts(self) -> list[Part]:
        options, request = self.request.options, self.request
        datasets = [config for config in options.datasets if has_records(config)]
        evaluation = EvaluationOptions(
            datasets=datasets, settings=request.settings, batch_size=options.batch_size, turns=options.turns, seed=request.seed
        )
        wanted = {name.partition("/")[0]: name for name in options.metrics}
        sources = list(find_sources(evaluation))
        _check_tasks(wanted, {record.task for source in sources for record in source.dataset.records})
        parts = []
        for source in sources:
            records = [record for record in source.dataset.records if record.task in wanted]
            if records:
                dataset = source.dataset.with_records(choose_questions(records, options.samples, seed=request.seed))
                by = f"training.validation: data set '{dataset.name}'"
                protocols = {protocol_of(task, self.predictor, wanted_by=by) for task in sorted({record.task for record in records})}
                parts += [
                    Part(source.setting, _of_protocol(dataset, protocol, predictor=self.predictor), protocol)
                    for protocol in sorted(protocols)
                ]
        return parts

    def __call__(self, watch: Watch, folder: Path) -> Answered | None:
        """See `Answers`."""
        options, world_size = self.request.options, self.ranks.world_size
        responses = ResponseOptions(max_new_tokens=options.max_new_tokens, templates=tuple(EvaluationOptions.templates))
        responders = {part.protocol: make_responder(self.predictor, part.protocol, options=responses) for part in self.parts}
        mine: list[tuple[int, list[Line]]] = []
        for first in range(0, len(self._batches), world_size):
            number = first + self.ranks.rank
            if number < len(self._batches):
                part, indices = self._batches[number]
                mine.append((number, self._answer(part, indices, responder=responders[part.protocol])))
            watch.advance(sum(len(indices) for _, indices in self._batches[first : first + world_size]))
            if watch.stopped():
                return None
        lines = [line for _, batch in sorted(_gather(self.ranks, mine), key=lambda pair: pair[0]) for line in batch]
        metrics, picture = find_on_first(lambda: self._finish(lines, folder))
        return Answered(metrics, picture if self.ranks.is_first else None)

    def _answer(self, part: Part, indices: list[int], *, responder: Responder) -> list[Line]:
        own = RankSamples(
            part.dataset,
            part.setting,
            indices,
            batch_size=len(indices),
            seed=self.request.seed,
            greyed=SETTINGS.find(part.setting).greyed,
        )
        lines: list[Line] = []
        for found in respond_to_samples(own, responder):
            for item in found:
                if isinstance(item, Lost):
                    get_logger().warning("validation: sample '%s' counts as missing: %s", item.unanswered.sample_id, item.reason)
                    lines.append((item.unanswered, None))
                else:
                    unanswered, response = item
                    masks = tuple(response.masks)
                    lines.append((replace(unanswered, prediction=response.text, prediction_masks=masks), response.vectors))
        return lines

    def _finish(self, lines: Sequence[Line], folder: Path) -> tuple[dict[str, float], np.ndarray | None]:
        """Scores and picture, on the first rank; the answers are in `folder` afterwards."""
        if lines and all(line.prediction is None for line, _ in lines):
            raise DataError(
                f"validation: none of {len(lines)} questions could be answered; the warnings above say why. Look at the held-out data with "
                "tools/check_data.py, and continue with --resume."
            )
        samples = _written(lines, folder)
        by_group: dict[tuple[str, str], list[Prediction]] = defaultdict(list)
        for sample in samples:
            by_group[sample.sensor, sample.task].append(sample)
        values: dict[str, float] = {}
        for (setting, task), group in by_group.items():
            judged = _scorer(task, by_vectors=any(sample.vectors for sample in group)).judge(group)
            values |= {f"{setting}/{task}/{name}": value for name, value in _measures(judged).items()}
        metrics = {name: values[name] for name in self.names if name in values and np.isfinite(values[name])}
        return metrics, self._draw(samples)

    def _draw(self, samples: Sequence[Prediction]) -> np.ndarray | None:
        """Some questions with truth and answers under each setting; None where none are wanted."""
        by_question: dict[tuple[str, str], list[Question]] = defaultdict(list)
        answered = {sample.key: sample for sample in samples}
        for part in self.parts:
            for index, record in enumerate(part.dataset.records):
                sample = answered.get(key_of(record, part.setting))
                if sample is not None:
                    by_question[record.task, record.sample_id].append(Question(sample, part.dataset, SampleKey(0, index)))
        chosen = _spread(by_question, self.request.options.pictures)
        return draw_questions(chosen, seed=self.request.seed) if chosen else None


def _check_tasks(wanted: Mapping[str, str], asked: Collection[str]) -> None:
    """Raise ConfigError if a wanted task, given with the metric that names it, is none that the data asks."""
    for task, name in wanted.items():
        if task not in asked:
            raise ConfigError(
                f"training.validation.metrics names '{name}', but the held-out data asks no such task.{did_you_mean(task, asked)} Tasks: "
                f"{', '.join(sorted(asked))}. Name one of them, or one of its measures as TASK/MEASURE."
            )


def choose_questions(records: Sequence[Record], count: int, *, seed: int) -> list[Record]:
    """`count` records, chosen by digests of their ids, so that whoever has them in another data set or setting chooses alike; those about
    one image follow each other."""

    def rank(record: Record) -> str:
        return hashlib.sha256(f"{seed} {record.sample_id}".encode()).hexdigest()

    return sorted(sorted(records, key=rank)[:count], key=lambda record: (image_key(record), rank(record)))


def _of_protocol(dataset: RecordDataset, protocol: str, *, predictor: Any) -> RecordDataset:
    """The records whose task is asked through a protocol."""
    fit = [record for record in dataset.records if protocol_of(record.task, predictor, wanted_by=dataset.name) == protocol]
    return dataset.with_records(fit)


def _gather(ranks: Ranks, mine: list[tuple[int, list[Line]]]) -> list[tuple[int, list[Line]]]:
    return [pair for pairs in ranks.gather(mine) for pair in pairs]


def _written(lines: Sequence[Line], folder: Path) -> list[Prediction]:
    """The answers as predictions.jsonl in the folder holds them, in place of earlier ones."""
    path = folder / WRITING
    path.unlink(missing_ok=True)
    with PredictionWriter(path) as writer:
        for prediction, vectors in lines:
            writer.write(prediction, vectors=vectors)
    write_predictions(folder, read_predictions(path))
    for part in (path, path.with_suffix(SHARD_SUFFIX)):
        part.unlink(missing_ok=True)
    return read_predictions(folder / PREDICTIONS)


def _scorer(task: str, *, by_vectors: bool) -> Scorer:
    config = scorer_of(task, by_vectors=by_vectors)
    if config is None:
        raise ConfigError(f"training.validation.metrics: task '{task}' has no score. Name another task.")
    found: Scorer = METRICS.build(config)
    return found


def _measures(judged: Judged) -> dict[str, float]:
    rows = np.arange(len(judged.samples))
    return {name: measure.of(rows) for name, measure in judged.measures.items()}


def _metric_names(parts: Sequence[Part], wanted: Sequence[str]) -> list[str]:
    """The full names of the wanted metrics, known from the scorer, or from scoring the questions unanswered.

    Raises:
        ConfigError: one is no measure of its task.
    """
    measures: dict[str, set[str]] = defaultdict(set)
    headlines: dict[str, str] = {}
    for part in parts:
        keys = [SampleKey(0, index) for index in range(len(part.dataset))]
        unanswered = [describe_unread(part.dataset, key, setting=part.setting) for key in keys]
        for task in dict.fromkeys(record.task for record in part.dataset.records):
            scorer = _scorer(task, by_vectors=part.protocol != GENERATES)
            if isinstance(scorer, NamesMeasures):
                names: Iterable[str] = scorer.measure_names
            else:
                names = scorer.judge([sample for sample in unanswered if sample.task == task]).measures
            headlines[task] = scorer.headline
            measures[part.setting].update(f"{task}/{name}" for name in names)
    known = [*headlines, *sorted(set().union(*measures.values()))]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(
            f"training.validation.metrics names '{unknown[0]}', which is no measure of its task."
            f"{did_you_mean(unknown[0], known)} Choices: {', '.join(known) or 'none'}."
        )
    full = dict.fromkeys(name if "/" in name else f"{name}/{headlines[name]}" for name in wanted)
    return [f"{setting}/{name}" for setting, own in measures.items() for name in full if name in own]


def _spread(by_question: Mapping[tuple[str, str], list[Question]], count: int) -> list[list[Question]]:
    """`count` questions, of the tasks in turn."""
    by_task: dict[str, list[list[Question]]] = defaultdict(list)
    for (task, _), questions in by_question.items():
        by_task[task].append(questions)
    turns = [own[turn] for turn in range(count) for own in by_task.values() if turn < len(own)]
    return turns[:count]
