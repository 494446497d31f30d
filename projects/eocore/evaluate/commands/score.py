"""`score`: the scores of a predictions file, without a model."""

import argparse
import json
from pathlib import Path

from rich.console import Console

from ..predictions import read_predictions
from ..score import score_predictions
from ..tables import console_table, to_rich
from .command import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `score`."""
    parser.add_argument("--predictions", type=Path, required=True, metavar="FILE", help="JSONL, one line per sample")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where scores.json is written")


def run(arguments: argparse.Namespace) -> int:
    """Scores, prints the table, writes the file."""
    scores = score_predictions(read_predictions(arguments.predictions))
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(scores, indent=1), encoding="utf-8")
    Console().print(to_rich(console_table(scores)))
    return 0


COMMAND = Command("score", "scores of a predictions file; needs no model", add_arguments, run)
