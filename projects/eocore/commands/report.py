"""Writes report.html and report.md of an evaluation: scores, training curves, the same scenes under each sensor setting."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, cast

from eocore.command import Command, say
from eocore.commands.arguments import add_config, read_config

if TYPE_CHECKING:
    from eocore.evaluate.scoring.scores import Scores

GALLERY_SETTING = "fused"
NUM_ROWS = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_config(parser, "config file with an `evaluation` section")
    parser.add_argument("--evaluation", type=Path, required=True, metavar="DIR", help="folder written by tools/test.py")
    parser.add_argument("--scalars", type=Path, metavar="FILE", help="scalars.jsonl of the training run")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the report")
    parser.add_argument("--title", metavar="TEXT", help="of the page (default: the name of the config)")


def run(arguments: argparse.Namespace) -> None:
    """Writes the report and prints where it is."""
    from eocore.config import require
    from eocore.evaluate.engine.sources import build_sources, read_evaluation
    from eocore.evaluate.predictions import read_predictions
    from eocore.evaluate.registration import register_systems
    from eocore.evaluate.reporting.gallery import overlay_rows
    from eocore.evaluate.reporting.report import write_report
    from eocore.evaluate.reporting.summary import read_result
    from eocore.system import systems_of_config

    config = read_config(arguments)
    register_systems(system.name for system in systems_of_config(config))
    predictions = read_predictions(arguments.evaluation / "predictions.jsonl")
    scores = cast("Scores", read_result(arguments.evaluation))
    sources = build_sources(read_evaluation(require(config, "evaluation")))
    referring = next((source for setting, source in sources if setting == GALLERY_SETTING and source.records[0].expressions), None)
    rows = overlay_rows(predictions, referring, count=NUM_ROWS) if referring is not None else []
    page = write_report(
        arguments.out, scores, title=arguments.title or f"Evaluation of {arguments.config.stem}", scalars=arguments.scalars, overlays=rows
    )
    say(page)


COMMAND = Command(name="report", description=__doc__, add_arguments=add_arguments, run=run)
