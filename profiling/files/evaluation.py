"""Answers from files through the engine of an evaluation: samples a second, and the share of the time in which the model computes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from eocore.config import require
from eocore.data.dataset import RecordDataset
from eocore.errors import DataError
from eocore.evaluate import datasets as _datasets  # noqa: F401  (registers what section `evaluation` names)
from eocore.evaluate.engine.predicting import Lost, RankSamples, deal_images, respond_to_samples
from eocore.evaluate.engine.responders import Responder, Response, ResponseOptions, make_responder
from eocore.evaluate.engine.sources import EvaluationOptions, find_sources, read_evaluation
from eocore.evaluate.registration import register_systems
from eocore.evaluate.tasks import protocol_of
from eocore.registry import TASKS
from eocore.system import PredictorOptions, system_of_config, system_of_model
from eocore.train.device import local_device
from profiling.files.page_cache import image_paths, possible_states, put
from profiling.files.training import Spent
from profiling.measures.timing import wait_for_device

BATCHES = 4
"""Of a set, at least."""


@dataclass(frozen=True)
class Asked:
    """Samples of a data set under a setting, and what responds to them."""

    samples: RankSamples
    responder: "TimedResponder"

    @property
    def dataset(self) -> RecordDataset:
        """Of these samples alone."""
        records = self.samples.source.records
        return self.samples.source.with_records([records[index] for index in self.samples.indices])


class TimedResponder:
    """A responder whose responses are timed; samples are prepared, in the threads that read, as always.

    Args:
        own: of the predictor.
    """

    def __init__(self, own: Responder) -> None:
        self.own, self.seconds = own, 0.0

    def prepare(self, sample: Any) -> Any:
        """See `Responder`."""
        return self.own.prepare(sample)

    def respond(self, batch: Sequence[Any]) -> list[Response]:
        """See `Responder`."""
        began = time.perf_counter()
        responses = self.own.respond(batch)
        wait_for_device()
        self.seconds += time.perf_counter() - began
        return responses


def build_predictor(config: Config, model: Path | None, *, generation: dict[str, Any]) -> Any:
    """What answers: a converted model, or the config's task with the weights that it begins with.

    Args:
        config: of the training.
        model: folder of the converted model; None = the task's.
        generation: options of the model.

    Raises:
        EOError: the model or the task cannot be built, or its system does not answer.
    """
    options = PredictorOptions(generation=generation)
    if model is not None:
        system = system_of_model(model)
        return system.need(system.predictor, "its models cannot be evaluated")(model, options)
    system = system_of_config(config)
    make = system.need(system.training_predictor, "its models cannot be asked before they are converted; give --model")
    task: Any = TASKS.build(require(config, "task")).to(local_device()).eval()
    return make(task, options)


def measure_evaluation(config: Config, model: Path | None, *, num_samples: int, turns: int) -> list[dict[str, float | str]]:
    """A row for the images' files in the page cache and one for them out of it; the fastest turn counts.

    Args:
        config: with a section `evaluation`.
        model: see `build_predictor`.
        num_samples: to answer in a turn, of data sets under settings throughout the section, in sets of several batches.
        turns: of each state, in turn.

    Raises:
        EOError: see `build_predictor`; or a sample cannot be read or answered.
    """
    register_systems([system_of_config(config).name])
    options = read_evaluation(require(config, "evaluation"))
    asked = _choose(options, build_predictor(config, model, generation=dict(options.generation)), num_samples=num_samples)
    paths = list(dict.fromkeys(path for one in asked for path in image_paths(one.dataset)))
    states = possible_states(paths)
    best: dict[str, Spent] = {}
    _answer(asked[:1])
    for _ in range(turns):
        for state in states:
            put(paths, state)
            spent = _answer(asked)
            best[state] = min(best.get(state, spent), spent, key=lambda found: found.wall)
    what = "evaluation" if model is not None else "evaluation, weights at the start"
    return [spent.row(f"{what}, {state}") for state, spent in best.items()]


def _choose(options: EvaluationOptions, predictor: Any, *, num_samples: int) -> list[Asked]:
    """As an evaluation deals them: those about one image follow each other."""
    found = list(find_sources(options))
    # as many sets as have several batches each: while the first of a set is read, nothing is answered
    count = min(len(found), max(1, num_samples // (BATCHES * options.batch_size)))
    sources = [found[number * len(found) // count + number % (len(found) // count)] for number in range(count)]
    responses = ResponseOptions(max_new_tokens=options.max_new_tokens, templates=tuple(options.templates))
    asked = []
    for source in sources:
        records = source.dataset.records[: max(1, num_samples // count)]
        protocol = protocol_of(records[0].task, predictor, wanted_by=source.dataset.name)
        indices = deal_images(records, range(len(records)), rank=0, world_size=1)
        samples = RankSamples(source.dataset, source.setting, indices, batch_size=options.batch_size, seed=options.seed)
        asked.append(Asked(samples, TimedResponder(make_responder(predictor, protocol, options=responses))))
    return asked


def _answer(asked: Sequence[Asked]) -> Spent:
    """What the answers to all samples took; the rest of the time the model waited for them."""
    began, before, count = time.perf_counter(), sum(one.responder.seconds for one in asked), 0
    for one in asked:
        for item in (item for batch in respond_to_samples(one.samples, one.responder) for item in batch):
            if isinstance(item, Lost):
                raise DataError(item.reason)
            count += 1
    wall = time.perf_counter() - began
    computing = sum(one.responder.seconds for one in asked) - before
    return Spent(wall, computing, wall - computing, count)
