"""The evaluation that a config describes: its data sets under its sensor settings, predicted into one file and scored."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
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
from eocore.evaluate.engine.predicting import EvaluationOptions, build_sources, read_evaluation
from eocore.evaluate.engine.responders import ResponseOptions
from eocore.evaluate.engine.sharing import held
from eocore.evaluate.registration import register_systems
from eocore.evaluate.scoring.scores import Scores
from eocore.evaluate.tasks import SCORES, protocol_of
from eocore.log import get_logger
from eocore.system import PredictorOptions, system_of_model, systems_of_config

Sources = Sequence[tuple[str, RecordDataset]]


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
    predictor = make(model, PredictorOptions(generation=options.generation))
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
    sources = together(ranks, lambda: list(build_sources(options)))
    parts = [Part(setting, source, _protocol(source, predictor)) for setting, source in sources]
    digests = together(ranks, lambda: model_digests(model) if ranks.is_first else {})
    data, paths = _read_all_data(options, sources, ranks=ranks)
    by_scores = any(part.protocol == SCORES for part in parts)
    choices = _choices(config, options, by_scores=by_scores)
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


def _read_all_data(options: EvaluationOptions, sources: Sources, *, ranks: Ranks) -> tuple[dict[str, str], dict[str, str]]:
    """Digests and paths of all data sets; each holds the same records under every setting, so the first one tells all."""
    modalities = sorted({name for shown in options.settings.values() for name in shown})
    data: dict[str, str] = {}
    annotation_files: dict[str, str] = {}
    names: Counter[str] = Counter()
    for (_, source), config in zip(sources, options.datasets, strict=False):
        names[source.name] += 1
        name = (
            source.name if names[source.name] == 1 else f"{source.name} ({names[source.name]})"
        )  # files of two folders may be alike named
        found, paths = read_data(source, config, modalities=modalities, ranks=ranks, name=name)
        data.update(found)
        annotation_files.update(paths)
    return data, annotation_files


def _choices(config: Config, options: EvaluationOptions, *, by_scores: bool) -> dict[str, Any]:
    """What the config says that answers depend on. The model's own processor prepares the images; a config whose processor was changed
    meanwhile still is another config, whose scores would be taken for those of the change."""
    names = ("settings", "max_new_tokens", "seed", "generation", *(["templates"] if by_scores else []))
    found: dict[str, Any] = {name: getattr(options, name) for name in names}
    found["datasets"] = [_without_paths(dict(entry)) for entry in options.datasets]
    found |= image_order(options.datasets)
    processor = config.get("task", {}).get("processor")
    return {"evaluation": found, **({"task": {"processor": processor}} if processor else {})}


def _without_paths(value: Any) -> Any:
    """A data set's config with files and folders by their last names: what is in them has digests."""
    if isinstance(value, str):
        return Path(value).name if os.sep in value and os.path.exists(value) else value
    if isinstance(value, Mapping):
        return {key: _without_paths(item) for key, item in value.items()}
    return [_without_paths(item) for item in value] if isinstance(value, list | tuple) else value
