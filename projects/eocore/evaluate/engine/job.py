"""One folder of results: predicted by all ranks, resumed where it was stopped, merged and scored. Benchmarks and configs are run by it."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eocore.data.dataset import RecordDataset
from eocore.distributed import Ranks, together
from eocore.errors import DataError
from eocore.evaluate.engine.inputs import SCORES, Inputs, claim_folder, clear_results
from eocore.evaluate.engine.manifest import RunManifest, read_manifest
from eocore.evaluate.engine.predicting import RankSamples, deal_images, key_of
from eocore.evaluate.engine.responders import ResponseOptions, make_responder
from eocore.evaluate.engine.shards import PredictionWriter, merge_shards, shard_path, write_predictions
from eocore.evaluate.engine.sharing import Lines, predict_together, predicted
from eocore.evaluate.predictions import PredictionKey
from eocore.evaluate.protocols import LoadsWeights
from eocore.evaluate.scoring.score import score_predictions
from eocore.evaluate.settings import SETTINGS
from eocore.files import write_file
from eocore.log import get_logger
from eocore.progress import Progress


class Model:
    """A predictor whose weights are read once, when there is something to predict.

    Args:
        predictor: of a converted model.
    """

    def __init__(self, predictor: Any) -> None:
        self.predictor = predictor
        self._loaded = not isinstance(predictor, LoadsWeights)

    def load(self, ranks: Ranks) -> None:
        """Reads the weights on every rank. Raises CheckpointError on all of them where one cannot."""
        if not self._loaded:
            together(ranks, self.predictor.load)
            self._loaded = True


@dataclass(frozen=True)
class Part:
    """A data set under one setting.

    Attributes:
        setting: one of SETTINGS.
        source: the records, with the images of the setting.
        protocol: through which the model is asked.
    """

    setting: str
    source: RecordDataset
    protocol: str

    @property
    def keys(self) -> list[PredictionKey]:
        """The lines it must have."""
        return [key_of(record, self.setting) for record in self.source.records]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is predicted into one folder.

    Attributes:
        name: for messages.
        folder: where its files go.
        manifest: what run.json says.
        parts: data sets by setting.
        responses: how the model is asked.
        batch_size: samples answered together.
        seed: of transforms that draw.
        reports: pages elsewhere that show its scores.
    """

    name: str
    folder: Path
    manifest: RunManifest
    parts: Sequence[Part]
    responses: ResponseOptions
    batch_size: int
    seed: int = 0
    reports: Sequence[Path] = ()


def claim(job: Job, inputs: Inputs, *, overwrite: bool) -> None:
    """Writes run.json, after clearing the folder where that is allowed. Raises DataError where it holds another run's predictions."""
    claim_folder(job.folder, inputs, overwrite=overwrite)
    job.manifest.write(job.folder)


@dataclass(frozen=True)
class Done:
    """How a job ended.

    Attributes:
        left_out: what could not be predicted, in words; "" = nothing.
        result: what scores.json holds; empty on ranks other than the first.
    """

    left_out: str
    result: Mapping[str, Any]


def predict_job(job: Job, model: Model, *, ranks: Ranks) -> Done:
    """Predicts what no rank has predicted yet; the first rank merges and scores when all are done.

    A data set of which nothing can be predicted under a setting is left out, and run.json and the scores say why.

    Args:
        job: claimed by the first rank.
        model: to predict with.
        ranks: all call this at once.

    Raises:
        DataError: on every rank, what stopped any of them; or nothing could be predicted at all.
        OutputError: results cannot be written.
    """
    began = time.monotonic()
    failures = _predict(job, model, ranks=ranks)
    if len(failures) == len(job.parts):
        raise DataError("; ".join(failures.values()))
    if failures and ranks.is_first:
        _without(job, failures).write(job.folder)
    result = together(ranks, lambda: collect(job.folder, time_s=time.monotonic() - began) if ranks.is_first else {})
    return Done("; ".join(failures.values()), result)


def _predict(job: Job, model: Model, *, ranks: Ranks) -> dict[int, str]:
    """Index of each part of which nothing could be predicted -> why."""
    done = predicted(job.folder, job.manifest.run_id, ranks=ranks)
    if ranks.is_first and done:
        get_logger().info("%s: %d of %d samples are there already", job.name, len(done), len(job.manifest.keys))
    own_samples = [_rank_samples(job, part, done=done, ranks=ranks) for part in job.parts]
    total = sum(len(own.indices) for own in own_samples)
    if not any(ranks.gather(total)):
        return {}
    if ranks.is_first:
        clear_results(job.folder, reports=job.reports)
    model.load(ranks)
    failures: dict[int, str] = {}
    path = shard_path(job.folder, run_id=job.manifest.run_id, rank=ranks.rank, world_size=ranks.world_size)
    with PredictionWriter(path) as writer, Progress(job.name, total, unit="samples", visible=ranks.is_first) as progress:
        for index, (part, own) in enumerate(zip(job.parts, own_samples, strict=True)):
            responder = together(ranks, lambda part=part: make_responder(model.predictor, part.protocol, options=job.responses))  # type: ignore[misc]
            lines = Lines(writer, any_done=not done.isdisjoint(part.keys), on_samples=progress.advance)
            try:
                predict_together(own, responder, lines=lines, ranks=ranks)
            except DataError as error:
                failures[index] = str(error)
    return failures


def _rank_samples(job: Job, part: Part, *, done: set[PredictionKey], ranks: Ranks) -> RankSamples:
    todo = [index for index, key in enumerate(part.keys) if key not in done]
    mine = deal_images(part.source.records, todo, rank=ranks.rank, world_size=ranks.world_size)
    return RankSamples(part.source, part.setting, mine, batch_size=job.batch_size, seed=job.seed, greyed=SETTINGS.find(part.setting).greyed)


def _without(job: Job, failures: Mapping[int, str]) -> RunManifest:
    """The manifest without the parts that could not be predicted."""
    notes = []
    for index, reason in failures.items():
        part = job.parts[index]
        of_many = any(other.setting == part.setting for other in job.parts if other is not part)
        notes.append(f"Not run under '{part.setting}'{f' ({part.source.name})' if of_many else ''}: {reason}")
    return job.manifest.without({key for index in failures for key in job.parts[index].keys}, notes=notes)


def collect(folder: Path, *, time_s: float | None = None) -> dict[str, Any]:
    """Merges the shards of a folder of results and scores them; writes predictions.jsonl and scores.json, returns the latter.

    Args:
        folder: with run.json and the shards of all ranks.
        time_s: what the run took [s]; None = not known.

    Raises:
        DataError: the shards do not hold every sample once, or belong to another run.
    """
    manifest = read_manifest(folder)
    samples = merge_shards(folder, manifest.keys, run_id=manifest.run_id)
    predictions = write_predictions(folder, samples)
    result = manifest.result(score_predictions(samples, metrics=manifest.metrics), predictions=predictions, time_s=time_s)
    write_file(folder / SCORES, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return result
