"""The evaluation that a config describes: its data sets under its sensor settings, predicted into one file and scored."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from mmengine.config import Config

from eocore.config import require
from eocore.data.dataset import RecordDataset
from eocore.data.io.file_digests import stamp
from eocore.distributed import Ranks, join_ranks, leave_ranks, together
from eocore.errors import ConfigError
from eocore.evaluate import datasets as _datasets  # noqa: F401  (registers what section `evaluation` names)
from eocore.evaluate.engine.digests import model_digests
from eocore.evaluate.engine.inputs import Inputs, image_order, read_data
from eocore.evaluate.engine.job import Job, Model, Part, claim, predict_job
from eocore.evaluate.engine.manifest import ConfigManifest, code_commit
from eocore.evaluate.engine.responders import ResponseOptions
from eocore.evaluate.engine.sharing import held
from eocore.evaluate.engine.sources import EvaluationOptions, Source, describe_sources, find_sources, read_evaluation
from eocore.evaluate.registration import register_systems
from eocore.evaluate.scoring.scores import SET, Scores
from eocore.evaluate.tasks import SCORES, protocol_of
from eocore.log import get_logger
from eocore.system import PredictorOptions, system_of_model, systems_of_config


def evaluate_config(config: Config, model: Path, *, out: Path, overwrite: bool = False) -> Scores | None:
    """Predicts and scores with a converted model what a config says, see `run_config`.

    Raises:
        CheckpointError: `model` is damaged.
        ConfigError: `model` is no converted model of an installed system, section `evaluation` is wrong, or a generation option in it.
        DataError: no sample, a record that does not fit its images, or `out` holds answers of another model, data or choice.
        OutputError: `out` cannot be written to.
    """
    named = systems_of_config(config)
    system = system_of_model(model)
    register_systems(dict.fromkeys([*(item.name for item in named), system.name]))
    options = read_evaluation(require(config, "evaluation"))
    make = system.need(system.predictor, "its models cannot be evaluated")
    predictor = make(model, PredictorOptions(generation=options.generation, dtype=options.dtype))
    return run_config(config, predictor, model=model, out=out, overwrite=overwrite, system=system.name)


def run_config(config: Config, predictor: Any, *, model: Path, out: Path, overwrite: bool = False, system: str = "") -> Scores | None:
    """Predicts and scores what the config's section `evaluation` says; writes run.json, predictions.jsonl and scores.json.

    A run that was stopped resumes where it was, on any number of processes, if model, data and choices are those it recorded.

    Args:
        config: with a section `evaluation`.
        predictor: of the model, see `eocore.evaluate.protocols`; its weights are read when there is something to predict.
        model: folder of the converted model.
        out: folder for the results.
        overwrite: throw away answers, scores and reports that are in `out`.
        system: that knows the model, for run.json.

    Returns:
        The scores on the first rank, None on the others.

    Raises:
        ConfigError: section `evaluation` is wrong, or the model cannot do what a data set's task needs.
        DataError: no sample, nothing that could be predicted, `out` holds answers of another model, other data or other choices, or
            another run is working in it.
        OutputError: `out` cannot be written to.
    """
    options = read_evaluation(require(config, "evaluation"))
    ranks = join_ranks()
    job, inputs = _prepare(config, options, ranks=ranks, predictor=predictor, model=model, out=out)
    job = replace(job, manifest=replace(cast(ConfigManifest, job.manifest), system=system))
    with held(out, ranks):
        together(ranks, lambda: claim(job, inputs, overwrite=overwrite) if ranks.is_first else None)
        done = predict_job(job, Model(predictor), ranks=ranks)
    if done.left_out and ranks.is_first:
        get_logger().warning("%s: left out: %s", out, done.left_out)
    leave_ranks()
    return cast(Scores, done.result) if ranks.is_first else None


def _prepare(config: Config, options: EvaluationOptions, *, ranks: Ranks, predictor: Any, model: Path, out: Path) -> tuple[Job, Inputs]:
    sources = together(ranks, lambda: name_sets(list(find_sources(options))))
    parts = [Part(source.setting, source.dataset, _protocol(source.dataset, predictor)) for source in sources]
    notes = describe_sources(sources, options)
    for note in notes if ranks.is_first else ():
        get_logger().warning("%s", note)
    digests = together(ranks, lambda: model_digests(model) if ranks.is_first else {})
    data, paths = _read_all_data(options, sources, ranks=ranks)
    by_scores = any(part.protocol == SCORES for part in parts)
    choices = _choices(config, options, by_scores=by_scores)
    if any(source.conversations for source in sources):
        choices["evaluation"]["turns"] = options.turns
    inputs = Inputs(model=ranks.gather(digests)[0], data=data, choices=choices, paths=paths)
    manifest = ConfigManifest(
        run_id=inputs.run_id,
        config=Path(config.filename or "").name,
        model=str(model),
        model_stamp=stamp(inputs.model),
        data_sha256=stamp(inputs.data),
        config_sha256=stamp(inputs.choices),
        commit=code_commit(),
        samples=sorted(key for part in parts for key in part.keys),
        inputs=asdict(inputs),
        notes=notes,
    )
    job = Job(
        name=str(out),
        folder=out,
        manifest=manifest,
        parts=parts,
        responses=ResponseOptions(max_new_tokens=options.max_new_tokens, templates=tuple(options.templates)),
        batch_size=options.batch_size,
        seed=options.seed,
    )
    return job, inputs


def _protocol(source: RecordDataset, predictor: Any) -> str:
    """The protocol of all tasks of a data set.

    Raises:
        ConfigError: the model implements none of a task's, or the tasks need different ones.
    """
    tasks = {record.task for record in source.records}
    found = {task: protocol_of(task, predictor, wanted_by=f"data set '{source.name}'") for task in tasks}
    if len(set(found.values())) > 1:
        described = ", ".join(f"{task} ({protocol})" for task, protocol in sorted(found.items()))
        raise ConfigError(f"data set '{source.name}' mixes tasks of different protocols: {described}. Split its annotation file by task.")
    return next(iter(found.values()))


def name_sets(sources: Sequence[Source]) -> list[Source]:
    """The sources with the data set's name in the meta of each record (`SET`) where several data sets ask one task."""
    owners: dict[str, set[int]] = {}
    for source in sources:
        for task in {record.task for record in source.dataset.records}:
            owners.setdefault(task, set()).add(source.number)
    shared = {task for task, numbers in owners.items() if len(numbers) > 1}
    names = _names(sources)
    return [replace(source, dataset=_named(source.dataset, names[source.number], tasks=shared)) for source in sources]


def _names(sources: Sequence[Source]) -> dict[int, str]:
    """Number of a data set -> its name, with a number behind it where an earlier one has the same: files of two folders may be alike."""
    names: dict[int, str] = {}
    for source in sorted(sources, key=lambda item: item.number):
        alike = sum(name.partition(" (")[0] == source.dataset.name for number, name in names.items() if number != source.number)
        names.setdefault(source.number, source.dataset.name if not alike else f"{source.dataset.name} ({alike + 1})")
    return names


def _named(dataset: RecordDataset, name: str, *, tasks: Collection[str]) -> RecordDataset:
    if not any(record.task in tasks for record in dataset.records):
        return dataset
    named = (replace(record, meta={**record.meta, SET: name}) if record.task in tasks else record for record in dataset.records)
    return dataset.with_records(list(named))


def _read_all_data(options: EvaluationOptions, sources: Sequence[Source], *, ranks: Ranks) -> tuple[dict[str, str], dict[str, str]]:
    """Digests and paths of all data sets; of the records that any setting shows."""
    modalities = sorted({name for shown in options.settings.values() for name in shown})
    data: dict[str, str] = {}
    annotation_files: dict[str, str] = {}
    for number, name in _names(sources).items():
        shown = [source.dataset for source in sources if source.number == number]
        records = {record.sample_id: record for dataset in shown for record in dataset.records}
        whole = shown[0].with_records(list(records.values()))
        found, paths = read_data(whole, options.datasets[number], modalities=modalities, ranks=ranks, name=name)
        data.update(found)
        annotation_files.update(paths)
    return data, annotation_files


def _choices(config: Config, options: EvaluationOptions, *, by_scores: bool) -> dict[str, Any]:
    """What the config says that answers depend on. The model's own processor prepares the images; a config whose processor was changed
    meanwhile still is another config, whose scores would be taken for those of the change."""
    names = ("settings", "max_new_tokens", "seed", "generation", *(["templates"] if by_scores else []))
    found: dict[str, Any] = {name: getattr(options, name) for name in names}
    found["datasets"] = [_without_paths(dict(entry)) for entry in options.datasets]
    found |= {**image_order(options.datasets), **({"dtype": options.dtype} if options.dtype else {})}
    processor = config.get("task", {}).get("processor")
    return {"evaluation": found, **({"task": {"processor": processor}} if processor else {})}


def _without_paths(value: Any) -> Any:
    """A data set's config with files and folders by their last names: what is in them has digests."""
    if isinstance(value, str):
        return Path(value).name if os.sep in value and os.path.exists(value) else value
    if isinstance(value, Mapping):
        return {key: _without_paths(item) for key, item in value.items()}
    return [_without_paths(item) for item in value] if isinstance(value, list | tuple) else value
