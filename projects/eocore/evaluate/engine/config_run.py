"""The evaluation that a config describes: its data sets under its sensor settings, predicted into one file and scored."""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from eocore.config import require
from eocore.data.dataset import RecordDataset
from eocore.data.io.file_digests import stamp
from eocore.distributed import Ranks, join_ranks, leave_ranks, together
from eocore.evaluate.engine.digests import model_digests
from eocore.evaluate.engine.inputs import PREDICTIONS, RUN_FILE, SCORES, Inputs, claim_folder, clear_results, read_data
from eocore.evaluate.engine.manifest import code_commit
from eocore.evaluate.engine.predicting import EvaluationOptions, SampleShare, build_sources, deal_images, key_of, read_evaluation
from eocore.evaluate.engine.shards import PredictionWriter, merge_shards, shard_path, write_predictions
from eocore.evaluate.engine.sharing import held, predict_together, predicted
from eocore.evaluate.predictions import PredictionKey
from eocore.evaluate.protocols import Answerer
from eocore.evaluate.scoring.score import score_predictions
from eocore.evaluate.scoring.scores import Scores
from eocore.files import write_file
from eocore.log import get_logger
from eocore.progress import Progress
from eocore.system import PredictorOptions, system_of_model, systems_of_config

LoadAnswerer = Callable[[EvaluationOptions], Answerer]
"""Loads the model and makes what answers; called when there is something to predict."""
Sources = Sequence[tuple[str, RecordDataset]]


@dataclass(frozen=True)
class ConfigRun:
    """A run ready to be predicted.

    Attributes:
        options: section `evaluation` of the config.
        sources: (setting, data set).
        inputs: what the answers depend on.
        folder: where results go.
        described: model, config and code, for run.json and scores.json.
    """

    options: EvaluationOptions
    sources: Sources
    inputs: Inputs
    folder: Path
    described: Mapping[str, Any]

    @property
    def keys(self) -> list[PredictionKey]:
        """Every line of the complete predictions file, in its order."""
        return sorted(key_of(record, setting) for setting, source in self.sources for record in source.records)


def evaluate_config(config: Config, model: Path, out: Path, *, overwrite: bool = False) -> Scores | None:
    """Predicts and scores with a converted model what a config says, see `run_config`.

    Raises:
        CheckpointError: `model` is damaged.
        ConfigError: `model` is no converted model of an installed system, section `evaluation` is wrong, or a generation option in it.
        DataError: no sample, a record that does not fit its images, or `out` holds answers of another model, data or choice.
        OutputError: `out` cannot be written to.
    """
    systems_of_config(config)
    options = read_evaluation(require(config, "evaluation"))
    system = system_of_model(model)
    make = system.need(system.predictor, "its models cannot be evaluated")
    predictor = make(model, PredictorOptions(generation=options.generation))
    return run_config(config, model, out, load_answerer=lambda options: predictor.answerer(options.max_new_tokens), overwrite=overwrite)


def run_config(config: Config, model: Path, out: Path, *, load_answerer: LoadAnswerer, overwrite: bool = False) -> Scores | None:
    """Predicts and scores what the config's section `evaluation` says; writes run.json, predictions.jsonl and scores.json.

    A run that was stopped goes on where it was, on any number of processes, if model, data and choices are those it recorded.

    Args:
        config: with a section `evaluation`.
        model: folder of a converted model.
        out: folder for the results.
        load_answerer: how the system answers.
        overwrite: throw away answers, scores and reports that are in `out`.

    Returns:
        The scores on the first rank, None on the others.

    Raises:
        ConfigError: section `evaluation` is wrong.
        DataError: no sample, a record that does not fit its images, `out` holds answers of another model, other data or other choices,
            or another run is going on in it.
        OutputError: `out` cannot be written to.
    """
    options = read_evaluation(require(config, "evaluation"))
    ranks = join_ranks()
    run = _prepare(config, options, ranks, model=model, out=out)
    with held(out, ranks):
        together(ranks, lambda: _claim(run, overwrite=overwrite) if ranks.is_first else None)
        _predict(run, load_answerer, ranks)
        scores = together(ranks, lambda: _collect(run) if ranks.is_first else None)
    leave_ranks()
    return scores


def _prepare(config: Config, options: EvaluationOptions, ranks: Ranks, *, model: Path, out: Path) -> ConfigRun:
    sources = together(ranks, lambda: list(build_sources(options)))
    digests = together(ranks, lambda: model_digests(model) if ranks.is_first else {})
    data, paths = _read_all_data(options, sources, ranks)
    inputs = Inputs(model=ranks.gather(digests)[0], data=data, choices=_choices(config, options), paths=paths)
    described = {
        "run_id": inputs.run_id,
        "config": Path(config.filename or "").name,
        "model": str(model),
        "model_stamp": stamp(inputs.model),
        "data_sha256": stamp(inputs.data),
        "config_sha256": stamp(inputs.choices),
        "commit": code_commit(),
    }
    return ConfigRun(options, sources, inputs, out, described)


def _read_all_data(options: EvaluationOptions, sources: Sources, ranks: Ranks) -> tuple[dict[str, str], dict[str, str]]:
    """Digests and places of all data sets; each holds the same records under every setting, so the first one tells all."""
    modalities = sorted({name for shown in options.settings.values() for name in shown})
    data: dict[str, str] = {}
    places: dict[str, str] = {}
    names: Counter[str] = Counter()
    for (_, source), config in zip(sources, options.datasets, strict=False):
        names[source.name] += 1
        name = (
            source.name if names[source.name] == 1 else f"{source.name} ({names[source.name]})"
        )  # files of two folders may be alike named
        found, paths = read_data(source, config, modalities=modalities, ranks=ranks, name=name)
        data.update(found)
        places.update(paths)
    return data, places


def _choices(config: Config, options: EvaluationOptions) -> dict[str, Any]:
    """What the config says that answers depend on. The model's own processor prepares the images; a config whose processor was changed
    meanwhile still is another config, whose scores would be taken for those of the change."""
    names = ("settings", "max_new_tokens", "seed", "generation")
    found: dict[str, Any] = {name: getattr(options, name) for name in names}
    found["datasets"] = [_without_places(dict(entry)) for entry in options.datasets]
    processor = config.get("task", {}).get("processor")
    return {"evaluation": found, **({"task": {"processor": processor}} if processor else {})}


def _without_places(value: Any) -> Any:
    """A data set's config with files and folders by their last names: what is in them has digests."""
    if isinstance(value, str):
        return Path(value).name if os.sep in value and os.path.exists(value) else value
    if isinstance(value, Mapping):
        return {key: _without_places(item) for key, item in value.items()}
    return [_without_places(item) for item in value] if isinstance(value, list | tuple) else value


def _claim(run: ConfigRun, *, overwrite: bool) -> None:
    claim_folder(run.folder, run.inputs, overwrite=overwrite)
    content = {**run.described, "inputs": asdict(run.inputs)}
    write_file(run.folder / RUN_FILE, json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n")


def _predict(run: ConfigRun, load_answerer: LoadAnswerer, ranks: Ranks) -> None:
    """Predicts what no rank has predicted yet."""
    done = predicted(run.folder, run.inputs.run_id, ranks)
    shares = [_share(run, setting, source, done, ranks) for setting, source in run.sources]
    total = sum(len(share.indices) for share in shares)
    if ranks.is_first and done:
        get_logger().info("%s: %d of %d samples are there already", run.folder, len(done), len(run.keys))
    if not any(ranks.gather(total)):
        return
    if ranks.is_first:
        clear_results(run.folder)
    answerer = together(ranks, lambda: load_answerer(run.options))
    path = shard_path(run.folder, run_id=run.inputs.run_id, rank=ranks.rank, world_size=ranks.world_size)
    with PredictionWriter(path) as writer, Progress("predicting", total, unit="samples", visible=ranks.is_first) as progress:
        for share in shares:
            any_done = any(key.sensor == share.setting for key in done)
            predict_together(share, answerer, writer, ranks, any_done=any_done, on_samples=progress.advance)


def _share(run: ConfigRun, setting: str, source: RecordDataset, done: set[PredictionKey], ranks: Ranks) -> SampleShare:
    todo = [index for index, record in enumerate(source.records) if key_of(record, setting) not in done]
    mine = deal_images(source.records, todo, rank=ranks.rank, world_size=ranks.world_size)
    return SampleShare(source, setting, mine, batch_size=run.options.batch_size, seed=run.options.seed)


def _collect(run: ConfigRun) -> Scores:
    samples = merge_shards(run.folder, run.keys, run_id=run.inputs.run_id)
    predictions = write_predictions(run.folder, samples)
    get_logger().info("%s: %d predictions", run.folder / PREDICTIONS, len(samples))
    scores = score_predictions(samples)
    scores["predictions"] = predictions
    scores["run"] = dict(run.described)
    write_file(run.folder / SCORES, json.dumps(scores, indent=1) + "\n")
    return scores
