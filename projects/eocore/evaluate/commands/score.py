"""`score`: the scores of a predictions file, without a model."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command
from eocore.evaluate.commands.file_arguments import FIELDS, add_file_arguments
from eocore.evaluate.judge.options import KEY_VARIABLE, MODEL_VARIABLE, URL_VARIABLE
from eocore.evaluate.judge.prompts import PROMPTS

if TYPE_CHECKING:  # what scores is imported when there is something to score
    from collections.abc import Sequence

    from eocore.evaluate.predictions import Prediction
    from eocore.evaluate.scoring.scores import Scores

DESCRIPTION = f"""
Scores of a predictions file. It may be our own (JSON lines written by `run`), or any JSON lines or JSON list with a prediction and a truth
in each entry: --task then says what is asked. {FIELDS} 'references' takes several fields:
--map references=caption0,caption1. Example, files of EarthDial: --task vqa --map prediction=answer truth=annotation type=vqa_type
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
        help="similarity: as the upstream EarthMind code; match: of short answers, as VRSBench",
    )
    parser.add_argument("--judge-cache", type=Path, metavar="DIR", help="scores are kept here and not asked for again")


def run(arguments: argparse.Namespace) -> int:
    """Scores, prints the tables, writes the file."""
    import json

    from eocore.errors import DataError
    from eocore.evaluate.commands.reading import apply_benchmark, read_file, read_metric
    from eocore.evaluate.commands.showing import show
    from eocore.evaluate.engine.inputs import require_same_truths
    from eocore.evaluate.registration import register_systems_of
    from eocore.evaluate.scoring.score import score_predictions
    from eocore.evaluate.settings import SETTINGS
    from eocore.files import write_file

    register_systems_of(arguments.predictions)
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
    scores["predictions"] = {**_describe(arguments.predictions, len(samples)), "fields": fields, "metrics": metrics}
    if arguments.judge:
        _judge(scores, samples, arguments=arguments)
    if arguments.out:
        write_file(arguments.out, json.dumps(scores, indent=1))
    show(scores, fields, by_image=any(sample.image_ids for sample in samples))
    return 0


def _describe(path: Path, num_samples: int) -> dict[str, object]:
    import hashlib

    return {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "num_samples": num_samples}


def _judge(scores: "Scores", samples: "Sequence[Prediction]", *, arguments: argparse.Namespace) -> None:
    """Adds a language model's scores.

    Raises:
        ConfigError: the prompt is for none of the tasks.
    """
    from eocore.errors import ConfigError
    from eocore.evaluate.judge.judge import Judge
    from eocore.evaluate.judge.options import options_from_environment
    from eocore.evaluate.judge.scores import add_judge_scores

    options = options_from_environment(prompt=arguments.judge_prompt, cache=arguments.judge_cache)
    if not add_judge_scores(scores, samples, judge=Judge(options), seed=arguments.seed):
        raise ConfigError(
            f"--judge: the prompt '{options.prompt}' is meant for {', '.join(PROMPTS[options.prompt].tasks)}, and the file has no such "
            "sample. Take another --judge-prompt, or leave --judge out."
        )


COMMAND = Command(name="score", description=DESCRIPTION, add_arguments=add_arguments, run=run)
