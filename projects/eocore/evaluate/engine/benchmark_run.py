"""Benchmarks run on a model: each in a folder of its own, shared among ranks, resumed where it was stopped, scored at the end."""

import copy
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from eocore.data.dataset import RecordDataset
from eocore.data.io.file_digests import stamp
from eocore.data.transforms import ChooseModalities
from eocore.distributed import Ranks, together
from eocore.errors import ConfigError, DataError, EOError, OutputError
from eocore.evaluate.benchmarks.catalogue import Benchmark, check_count, require_data
from eocore.evaluate.engine.digests import model_digests
from eocore.evaluate.engine.inputs import REPORTS, SCORES, Inputs, claim_folder, clear_results, read_data
from eocore.evaluate.engine.manifest import Manifest, code_commit, read_manifest
from eocore.evaluate.engine.predicting import SampleShare, deal_images, key_of
from eocore.evaluate.engine.run_options import Outcome, RunOptions, State
from eocore.evaluate.engine.shards import PredictionWriter, merge_shards, shard_path, write_predictions
from eocore.evaluate.engine.sharing import held, predict_together, predicted
from eocore.evaluate.predictions import PredictionKey
from eocore.evaluate.protocols import Answerer
from eocore.evaluate.scoring.score import score_predictions
from eocore.evaluate.scoring.scores import Scores
from eocore.evaluate.settings import SETTINGS
from eocore.files import write_file
from eocore.log import get_logger
from eocore.progress import Progress

AnswererOf = Callable[[int], Answerer]
"""max_new_tokens -> answerer."""


def run_benchmarks(
    benchmarks: Sequence[Benchmark], options: RunOptions, ranks: Ranks, *, load_model: Callable[[], AnswererOf]
) -> list[Outcome]:
    """Runs one after the other; one that cannot be run does not stop the others.

    Args:
        benchmarks: to run.
        options: of the run.
        ranks: the processes that share each benchmark.
        load_model: called once, when the first benchmark has data.

    Raises:
        OutputError: results cannot be written; what was predicted is kept.
    """
    digests_of_model = ranks.gather(model_digests(options.model) if ranks.is_first else {})[0]
    model: list[AnswererOf] = []
    outcomes = []
    for benchmark in benchmarks:
        state: State = "skipped"
        try:
            together(ranks, partial(require_data, benchmark, options.data_root))
            state = "failed"
            with held(options.out / benchmark.name, ranks):
                job = prepare(adapt(benchmark, options), options, ranks, digests_of_model=digests_of_model)
                model = model or [together(ranks, load_model)]
                outcomes.append(predict_job(job, model[0](job.benchmark.max_new_tokens), ranks))
        except OutputError:
            raise  # no other benchmark could be written either
        except EOError as error:
            outcomes.append(Outcome(benchmark.name, state, str(error)))
            if ranks.is_first:
                get_logger().error("%s %s: %s", benchmark.name, state, error)
    return outcomes


def adapt(benchmark: Benchmark, options: RunOptions) -> Benchmark:
    """The benchmark with the run's choices of prompt, settings and longest answer.

    Raises:
        ConfigError: it has none of the settings.
    """
    settings = {name: value for name, value in benchmark.settings.items() if not options.settings or name in options.settings}
    if not settings:
        raise ConfigError(
            f"benchmark '{benchmark.name}' has the settings {', '.join(benchmark.settings)}, none of {', '.join(options.settings)}. "
            "Choose among its own (--settings)."
        )
    own = benchmark.mask_prompt if options.places_by_masks and benchmark.mask_prompt else benchmark.prompt
    prompt = (options.prompts or {}).get(benchmark.name, own)
    return replace(benchmark, settings=settings, prompt=prompt, max_new_tokens=options.max_new_tokens or benchmark.max_new_tokens)


@dataclass(frozen=True)
class Job:
    """One benchmark ready to be predicted."""

    benchmark: Benchmark
    options: RunOptions
    manifest: Manifest
    sources: Mapping[str, RecordDataset]

    @property
    def folder(self) -> Path:
        """Where its files go."""
        return self.options.out / self.benchmark.name


def prepare(benchmark: Benchmark, options: RunOptions, ranks: Ranks, *, digests_of_model: Mapping[str, str]) -> Job:
    """Reads the annotations, checks the count, digests annotations and images, clears or keeps what is in the folder, writes run.json.

    Raises:
        DataError: another number of samples than published, or the folder holds another run.
        AnnotationError: the annotations break their form.
    """
    source = together(ranks, lambda: _read(benchmark, options))
    sources = {setting: show_only(source, setting, modalities) for setting, modalities in benchmark.settings.items()}
    inputs = _inputs(benchmark, options, source, ranks, digests_of_model=digests_of_model)
    job = Job(benchmark, options, _manifest(benchmark, options, source, inputs), sources)
    together(ranks, lambda: _claim(job, inputs) if ranks.is_first else None)
    return job


def _read(benchmark: Benchmark, options: RunOptions) -> RecordDataset:
    source = benchmark(data_root=options.data_root, limit=options.limit)
    wrong = check_count(benchmark, len(source))
    if wrong and not options.any_count and options.limit is None:
        raise DataError(wrong)
    return source


def show_only(source: RecordDataset, setting: str, modalities: Sequence[str]) -> RecordDataset:
    """The same samples with the images of one setting."""
    shown = copy.copy(source)
    shown.built_transforms = [*source.built_transforms, ChooseModalities(settings={setting: modalities})]
    return shown


def _inputs(
    benchmark: Benchmark, options: RunOptions, source: RecordDataset, ranks: Ranks, *, digests_of_model: Mapping[str, str]
) -> Inputs:
    choices = {
        "dataset": benchmark.config(""),
        "prompt": benchmark.prompt,
        "settings": dict(benchmark.settings),
        "max_new_tokens": benchmark.max_new_tokens,
        "limit": options.limit,
        **({"generation": dict(options.generation)} if options.generation else {}),
    }
    modalities = {name for shown in benchmark.settings.values() for name in shown}
    data, paths = read_data(source, benchmark.config(options.data_root), modalities=sorted(modalities), ranks=ranks)
    return Inputs(model=digests_of_model, data=data, choices=choices, paths=paths)


def _manifest(benchmark: Benchmark, options: RunOptions, source: RecordDataset, inputs: Inputs) -> Manifest:
    wrong = check_count(benchmark, len(source))
    notes = [f"{len(source)} samples, not the {benchmark.expected} of the published test set."] if wrong else []
    if options.limit is not None:
        notes.append(f"Only the first {options.limit} samples were asked for.")
    if options.generation:
        notes.append(f"Generated with {', '.join(f'{name}={value}' for name, value in options.generation.items())}.")
    if options.places_by_masks and benchmark.mask_prompt:
        notes.append("Boxes are the bounds of the masks that the model draws.")
    return Manifest(
        run_id=inputs.run_id,
        benchmark=benchmark.name,
        named=benchmark.named or benchmark.name,
        title=benchmark.title,
        task=benchmark.task,
        metric=dict(benchmark.metric),
        settings=list(benchmark.settings),
        sample_ids=[record.sample_id for record in source.records],
        system=options.system,
        model=str(options.model),
        data_root=options.data_root,
        expected=benchmark.expected,
        commit=code_commit(),
        notes=notes,
        model_stamp=stamp(inputs.model),
        data_sha256=stamp(inputs.data),
        config_sha256=stamp(inputs.choices),
        inputs=asdict(inputs),
    )


def _claim(job: Job, inputs: Inputs) -> None:
    """Writes run.json, after clearing the folder where that is allowed. Raises DataError where another run's predictions stand in it."""
    claim_folder(job.folder, inputs, overwrite=job.options.overwrite)
    job.manifest.write(job.folder)


def predict_job(job: Job, answerer: Answerer, ranks: Ranks) -> Outcome:
    """Predicts what no rank has predicted yet; the first rank merges and scores when all are done.

    A setting under which nothing can be predicted is left out, and the scores say why.

    Raises:
        DataError: on every rank, what stopped any of them; or nothing could be predicted under any setting.
    """
    began = time.monotonic()
    done = predicted(job.folder, job.manifest.run_id, ranks)
    if ranks.is_first and done:
        get_logger().info("%s: %d of %d samples are there already", job.benchmark.name, len(done), len(job.manifest.keys))
    shares = [_share(job, setting, done, ranks) for setting in job.benchmark.settings]
    total = sum(len(share.indices) for share in shares)
    if any(ranks.gather(total)) and ranks.is_first:
        clear_results(job.folder, reports=[job.options.out / name for name in REPORTS])
    failures: dict[str, str] = {}
    path = shard_path(job.folder, run_id=job.manifest.run_id, rank=ranks.rank, world_size=ranks.world_size)
    with PredictionWriter(path) as writer, Progress(job.benchmark.name, total, unit="samples", visible=ranks.is_first) as progress:
        for share in shares:
            any_done = any(key.sensor == share.setting for key in done)
            try:
                predict_together(share, answerer, writer, ranks, any_done=any_done, on_samples=progress.advance)
            except DataError as error:
                failures[share.setting] = str(error)
    if len(failures) == len(shares):
        raise DataError("; ".join(failures.values()))
    if failures and ranks.is_first:
        _leave_out(job, failures)
    together(ranks, lambda: collect(job.folder, time_s=time.monotonic() - began) if ranks.is_first else None)
    return Outcome(job.benchmark.name, "done", "; ".join(failures.values()))


def _leave_out(job: Job, failures: Mapping[str, str]) -> None:
    settings = [name for name in job.manifest.settings if name not in failures]
    notes = [*job.manifest.notes, *(f"Not run under '{name}': {reason}" for name, reason in failures.items())]
    replace(job.manifest, settings=settings, notes=notes).write(job.folder)


def _share(job: Job, setting: str, done: set[PredictionKey], ranks: Ranks) -> SampleShare:
    source = job.sources[setting]
    todo = [index for index, record in enumerate(source.records) if key_of(record, setting) not in done]
    mine = deal_images(source.records, todo, rank=ranks.rank, world_size=ranks.world_size)
    return SampleShare(source, setting, mine, batch_size=job.options.batch_size, greyed=SETTINGS.find(setting).greyed)


def collect(folder: Path, *, time_s: float | None = None) -> dict[str, Any]:
    """Merges the shards of a benchmark's folder and scores them; writes predictions.jsonl and scores.json, gives the latter.

    Args:
        folder: with run.json and the shards of all ranks.
        time_s: what the run took [s]; None = not known.

    Raises:
        DataError: the shards do not hold every sample once, or belong to another run.
    """
    manifest = read_manifest(folder)
    samples = merge_shards(folder, manifest.keys, run_id=manifest.run_id)
    predictions = write_predictions(folder, samples)
    scores: Scores = score_predictions(samples, metrics={manifest.task: manifest.metric} if manifest.metric else None)
    groups = [item["overall"] for by_task in scores["settings"].values() for item in by_task.values()]
    result = {
        **manifest.describe(),
        "predictions": predictions,
        **{name: sum(group[name] for group in groups) for name in ("n_missing", "n_unparsed")},
        "time_s": None if time_s is None else round(time_s, 3),
        **scores,
    }
    write_file(folder / SCORES, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return result
