"""Predictions files as a command line describes them: read, with their task, classes and scorer."""

import argparse
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eocore.errors import ConfigError, DataError
from eocore.evaluate.benchmarks.loading import choose, load_benchmarks
from eocore.evaluate.commands.file_arguments import READING_OPTIONS
from eocore.evaluate.external.field_names import parse_map
from eocore.evaluate.external.files import ExternalOptions, is_native, read_external
from eocore.evaluate.predictions import Prediction, read_predictions
from eocore.evaluate.scoring import scorers as _scorers  # noqa: F401  (registers what --metric names)
from eocore.evaluate.tasks import CLASS_TASKS, TASKS, scored_tasks, scorer_of
from eocore.registry import METRICS


def apply_benchmark(arguments: argparse.Namespace) -> None:
    """Fills in task, classes and number of samples of `--benchmark` where the command line does not say them.

    Raises:
        ConfigError: no such benchmark, or one of another task; or a task that is unknown or has no score.
    """
    if arguments.task is not None and not TASKS.find(arguments.task).scorers:
        scored = ", ".join(name for name, task in TASKS.items() if task.scorers)
        raise ConfigError(f"--task {arguments.task}: answers of this task have no score. Choices: {scored}.")
    if not arguments.benchmark:
        return
    (benchmark,) = choose([arguments.benchmark], None, known=load_benchmarks())
    if arguments.task not in (None, benchmark.task):
        raise ConfigError(f"benchmark '{benchmark.name}' is of task '{benchmark.task}', not '{arguments.task}'. Leave --task out.")
    arguments.task = benchmark.task
    arguments.expect = benchmark.expected if arguments.expect is None else arguments.expect
    if benchmark.task in CLASS_TASKS and not arguments.labels:
        arguments.labels = ";".join(benchmark.dataset.get("classes", ()))
    if benchmark.metric and not arguments.metric:
        options = {name: value for name, value in benchmark.metric.items() if name != "type"}
        arguments.metric = benchmark.metric["type"]
        arguments.metric_options = [*(f"{name}={json.dumps(value)}" for name, value in options.items()), *arguments.metric_options]


def read_file(arguments: argparse.Namespace, path: Path) -> tuple[list[Prediction], str]:
    """The samples to score, and how the file's fields were read.

    Raises:
        DataError: the file, or its number of samples, is wrong.
        ConfigError: the task or the fields cannot be told.
    """
    external_only = arguments.map or arguments.annotations
    if not external_only and is_native(path):
        samples = [sample for sample in read_predictions(path) if arguments.task in (None, sample.task)]
        if not samples:
            raise DataError(f"{path}: no sample of task '{arguments.task}'. Name one that is there, or leave --task out.")
        fields = "as written by `run`"
    else:
        if arguments.task is None and path.is_file():
            raise ConfigError(f"{path}: its lines do not say what was asked. Give --task, one of {', '.join(scored_tasks())}.")
        options = ExternalOptions(
            task=arguments.task or "",
            sensor=arguments.sensor,
            fields=parse_map(arguments.map),
            labels=read_labels(arguments.labels),
            annotations=arguments.annotations,
        )
        samples, names = read_external(path, options)
        fields = names.describe()
    _check_count(samples, arguments.expect, path=path)
    return samples, fields


def _check_count(samples: Sequence[Prediction], expected: int | None, *, path: Path) -> None:
    counts = Counter((sample.task, sample.sensor) for sample in samples)
    wrong = [f"{count} of {task} ({sensor})" for (task, sensor), count in counts.items() if expected not in (None, count)]
    if wrong:
        raise DataError(
            f"{path}: {', '.join(wrong)}, expected {expected} samples; a score over other samples cannot be compared. Predict the rest, or "
            "give the truths with --annotations, and what lacks counts as missing."
        )


def read_labels(given: str | None) -> tuple[str, ...]:
    """Classes from a file or from 'a;b;c' (or 'a,b,c' where no class has a comma).

    Raises:
        DataError: the file holds no list of texts.
    """
    if not given:
        return ()
    if os.path.isfile(given):  # False, not an error, for a list too long to be a file's name
        labels = _labels_of_file(Path(given))
    else:
        labels = [part.strip() for part in given.split(";" if ";" in given else ",") if part.strip()]
    if not labels or not all(isinstance(label, str) for label in labels):
        raise DataError(f"--labels {given}: expected a list of class names, found {str(labels)[:80]}. Write one a line.")
    return tuple(labels)


def _labels_of_file(path: Path) -> list[Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return list(json.loads(text)) if text.lstrip().startswith("[") else [line.strip() for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"--labels {path}: cannot be read ({type(error).__name__}: {error}). Write one class a line.") from error


def read_metric(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Task -> entry of METRICS, as the command line says.

    Raises:
        ConfigError: options without a task, or no NAME=VALUE pairs.
    """
    given = {name: value for name in READING_OPTIONS if (value := getattr(arguments, name)) is not None}
    if not arguments.metric and not arguments.metric_options:
        return _with_reading(given, arguments.task)
    if not arguments.task:
        raise ConfigError(
            f"--metric needs --task, one of {', '.join(scored_tasks())}; entries of METRICS: {', '.join(sorted(METRICS.module_dict))}."
        )
    config: dict[str, Any] = {"type": arguments.metric or _scorer(arguments.task)["type"]}
    for word in arguments.metric_options:
        name, mark, value = word.partition("=")
        if not mark:
            raise ConfigError(f"--metric-options {word!r}: expected NAME=VALUE, e.g. meteor=true.")
        try:
            config[name] = json.loads(value)
        except ValueError:
            config[name] = value
    return {arguments.task: {**config, **{name: value for name, value in given.items() if arguments.task in READING_OPTIONS[name]}}}


def _scorer(task: str) -> Mapping[str, Any]:
    """The task's own entry of METRICS."""
    return scorer_of(task, by_vectors=False) or {}


def _with_reading(given: Mapping[str, Any], task: str | None) -> dict[str, dict[str, Any]]:
    """Task -> its default scorer with the options of reading that it has.

    Raises:
        ConfigError: an option is given that the task does not have.
    """
    strange = [name for name in given if task is not None and task not in READING_OPTIONS[name]]
    if strange:
        option = {"order": "box-order"}.get(strange[0], strange[0].replace("_", "-"))
        raise ConfigError(f"--{option} is of {', '.join(READING_OPTIONS[strange[0]])}, not of '{task}'. Leave it out.")
    configs: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        for owner in (task,) if task else READING_OPTIONS[name]:
            configs.setdefault(owner, dict(_scorer(owner)))[name] = value
    return configs
