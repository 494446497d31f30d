"""`score`: the scores of a predictions file, without a model."""

import argparse
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from eocore.command import Command
from eocore.errors import ConfigError, DataError
from eocore.evaluate.benchmarks.loading import choose, load_benchmarks
from eocore.evaluate.engine.inputs import require_same_truths
from eocore.evaluate.external.field_names import ALIASES, NONE, parse_map
from eocore.evaluate.external.files import BOX_TASKS, CLASS_TASKS, ForeignOptions, is_native, read_foreign
from eocore.evaluate.judge.judge import KEY_VARIABLE, MODEL_VARIABLE, URL_VARIABLE, Judge, options_from_environment
from eocore.evaluate.judge.prompts import PROMPTS
from eocore.evaluate.judge.scores import add_verdicts
from eocore.evaluate.predictions import Prediction, read_predictions
from eocore.evaluate.reporting.tables import figure_tables, reading_notes, to_rich
from eocore.evaluate.scoring.parsing.box_scales import PIXELS
from eocore.evaluate.scoring.parsing.choices import MODES
from eocore.evaluate.scoring.score import score_predictions
from eocore.evaluate.scoring.scorers.box_reader import ORDERS
from eocore.evaluate.scoring.scores import Scores
from eocore.evaluate.settings import SETTINGS
from eocore.evaluate.tasks import scored_tasks
from eocore.files import write_file
from eocore.registry import METRICS

CONSOLE_WIDTH = 120
"""Where the output is no terminal."""

DESCRIPTION = f"""
Scores of a predictions file. It may be our own (JSON lines written by `run`), or any JSON lines or JSON list with a prediction and a truth
in each entry: --task then says what is asked. Fields go by many names ({", ".join(ALIASES["prediction"][:4])}, ... for the
prediction); --map NAME=FIELD says which is which where that fails, for NAME one of {", ".join(ALIASES)};
FIELD '{NONE}' means not to read one. 'references' takes several fields: --map references=caption0,caption1. Example, files of EarthDial:
--task vqa --map prediction=answer truth=annotation type=vqa_type
"""


_JUDGE_HELP = f"{URL_VARIABLE}, {MODEL_VARIABLE} and {KEY_VARIABLE} of the environment say whom"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `score`."""
    add_file_arguments(parser)
    parser.add_argument("--predictions", type=Path, required=True, metavar="FILE", help="JSON lines or a JSON list, one entry a sample")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the scores are written as JSON")
    parser.add_argument(
        "--recorded-truths", action="store_true", help="score the truths the file holds even where the annotations they are of have changed"
    )
    parser.add_argument("--judge", action="store_true", help=f"also ask a language model about open answers; {_JUDGE_HELP}")
    parser.add_argument(
        "--judge-prompt",
        choices=sorted(PROMPTS),
        default="quality",
        help="similarity: as the published EarthMind code; match: of short answers, as VRSBench",
    )
    parser.add_argument("--judge-cache", type=Path, metavar="DIR", help="verdicts are kept here and not asked for again")


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """How predictions files are read and scored."""
    scored = list(scored_tasks())
    parser.add_argument("--task", choices=scored, help="what is asked; our own files say it themselves, and of those only this is scored")
    parser.add_argument("--benchmark", metavar="NAME", help="takes task, classes, scorer and number of samples from a published benchmark")
    parser.add_argument("--map", nargs="+", default=[], metavar="NAME=FIELD", help="names of the file's fields, see above")
    parser.add_argument("--labels", metavar="LIST", help="classes or options: a file (one a line, or JSON list), or 'a;b;c'")
    parser.add_argument("--annotations", type=Path, metavar="FILE", help="truths by sample id; what the predictions lack counts as missing")
    parser.add_argument("--expect", type=int, metavar="N", help="number of samples there must be")
    parser.add_argument("--sensor", default="optical", metavar="NAME", help=f"setting of an external file: {SETTINGS}")
    parser.add_argument("--metric", metavar="TYPE", help="entry of METRICS to score by, with its options as NAME=VALUE in --metric-options")
    parser.add_argument("--metric-options", nargs="+", default=[], metavar="NAME=VALUE", help="VALUE is JSON, or a plain word")
    add_reading_arguments(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")


READING_OPTIONS = {
    "reading": ("mcq", "multilabel"),
    "several": ("mcq",),
    "index_base": ("mcq",),
    "prediction_scale": BOX_TASKS,
    "truth_scale": BOX_TASKS,
    "order": BOX_TASKS,
}
"""Option of a scorer -> tasks whose default scorer has it."""


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """How answers are read."""
    group = parser.add_argument_group("reading of answers", "docs/scoring.md has the rules")
    strict = "choices: strict takes stated letters and option texts alone, lenient (the default) also what a sentence names"
    group.add_argument("--reading", choices=MODES, help=strict)
    group.add_argument("--several", action="store_true", default=None, help="choices: every question allows several options")
    group.add_argument("--index-base", type=int, choices=(0, 1), help="choices: annotated answers are numbers; that of the first option")
    scale = "boxes: 1, 100, 1000 (what the far edge of an image is called) or pixels; told by the range of all"
    group.add_argument("--prediction-scale", type=_scale, metavar="SCALE", help=f"{scale} answers where not given")
    group.add_argument("--truth-scale", type=_scale, metavar="SCALE", help=f"{scale} annotations where not given")
    group.add_argument("--box-order", dest="order", choices=ORDERS, help="boxes: order of the four numbers of an answer")


def _scale(text: str) -> float:
    """A scale of the command line."""
    if text == "pixels":
        return PIXELS
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected 1, 100, 1000, another number, or pixels; found {text!r}") from None


def apply_benchmark(arguments: argparse.Namespace) -> None:
    """Fills in task, classes and number of samples of `--benchmark` where the command line does not say them.

    Raises:
        ConfigError: no such benchmark, or one of another task.
    """
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
    foreign_only = arguments.map or arguments.annotations
    if not foreign_only and is_native(path):
        samples = [sample for sample in read_predictions(path) if arguments.task in (None, sample.task)]
        if not samples:
            raise DataError(f"{path}: no sample of task '{arguments.task}'. Name one that is there, or leave --task out.")
        fields = "as written by `run`"
    else:
        if arguments.task is None and path.is_file():
            raise ConfigError(f"{path}: its lines do not say what was asked. Give --task, one of {', '.join(scored_tasks())}.")
        options = ForeignOptions(
            task=arguments.task or "",
            sensor=arguments.sensor,
            fields=parse_map(arguments.map),
            labels=read_labels(arguments.labels),
            annotations=arguments.annotations,
        )
        samples, names = read_foreign(path, options)
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
        text = path.read_text(encoding="utf-8")
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
    config: dict[str, Any] = {"type": arguments.metric or scored_tasks()[arguments.task]["type"]}
    for word in arguments.metric_options:
        name, mark, value = word.partition("=")
        if not mark:
            raise ConfigError(f"--metric-options {word!r}: expected NAME=VALUE, e.g. meteor=true.")
        try:
            config[name] = json.loads(value)
        except ValueError:
            config[name] = value
    return {arguments.task: {**config, **{name: value for name, value in given.items() if arguments.task in READING_OPTIONS[name]}}}


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
            configs.setdefault(owner, dict(scored_tasks()[owner]))[name] = value
    return configs


def run(arguments: argparse.Namespace) -> int:
    """Scores, prints the tables, writes the file."""
    apply_benchmark(arguments)
    SETTINGS.find(arguments.sensor)
    if not arguments.recorded_truths and not arguments.annotations:
        require_same_truths(arguments.predictions)
    samples, fields = read_file(arguments, arguments.predictions)
    metrics = read_metric(arguments)
    try:
        scores = score_predictions(samples, metrics=metrics, seed=arguments.seed)
    except DataError as error:
        raise type(error)(f"{arguments.predictions}: {error}") from error
    scores["predictions"] = {
        "path": str(arguments.predictions),
        "sha256": hashlib.sha256(arguments.predictions.read_bytes()).hexdigest(),
        "num_samples": len(samples),
        "fields": fields,
        "metrics": metrics,
    }
    if arguments.judge:
        options = options_from_environment(prompt=arguments.judge_prompt, cache=arguments.judge_cache)
        if not add_verdicts(scores, samples, judge=Judge(options), seed=arguments.seed):
            raise ConfigError(
                f"--judge: the prompt '{options.prompt}' is meant for {', '.join(PROMPTS[options.prompt].tasks)}, and the file has no such "
                "sample. Take another --judge-prompt, or leave --judge out."
            )
    if arguments.out:
        write_file(arguments.out, json.dumps(scores, indent=1))
    show(scores, fields, by_image=any(sample.image_ids for sample in samples))
    return 0


def show(scores: Scores, fields: str, *, by_image: bool) -> None:
    """Prints the tables."""
    console = wide_console()
    console.print(f"fields: {fields}", markup=False, highlight=False)
    if not by_image:
        console.print("No field names the image: intervals take the samples as independent, and are too narrow where they share images.")
    for note in reading_notes(scores):
        console.print(note, markup=False, highlight=False)
    for table in figure_tables(scores):
        console.print(to_rich(table))


def wide_console() -> Console:
    """A console that does not cut tables where the output goes to a file or a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=CONSOLE_WIDTH)


COMMAND = Command(name="score", description=DESCRIPTION, add_arguments=add_arguments, run=run)
