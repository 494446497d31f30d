"""Writes report.html and report.md of an evaluation: scores, training curves, the same places drawn under each sensor setting."""

import argparse
import sys
from pathlib import Path
from typing import cast

from eocore.command import command
from eocore.config import load_config, require
from eocore.evaluate.engine.predicting import build_sources, read_evaluation
from eocore.evaluate.predictions import read_predictions
from eocore.evaluate.reporting.gallery import overlay_rows
from eocore.evaluate.reporting.report import write_report
from eocore.evaluate.reporting.summary import read_result
from eocore.evaluate.scoring.scores import Scores
from eocore.overrides import OverrideAction
from eocore.system import systems_of_config

GALLERY_SETTING = "fused"
NUM_ROWS = 8


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="config file with an `evaluation` section")
    parser.add_argument("--trust-config", action="store_true", help="run a Python config from outside the project's configs folder")
    parser.add_argument("--evaluation", type=Path, required=True, metavar="DIR", help="folder written by tools/test.py")
    parser.add_argument("--scalars", type=Path, metavar="FILE", help="scalars.jsonl of the training run")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the report")
    parser.add_argument("--title", default="EarthMind evaluation")
    parser.add_argument(
        "--cfg-options", nargs="+", action=OverrideAction, default={}, metavar="KEY=VALUE", help="overrides; +KEY=VALUE adds a key"
    )
    return parser.parse_args()


@command
def main() -> None:
    """Runs the command; gives the exit status."""
    arguments = parse_arguments()
    config = load_config(arguments.config, arguments.cfg_options, trust=arguments.trust_config)
    systems_of_config(config)
    predictions = read_predictions(arguments.evaluation / "predictions.jsonl")
    scores = cast(Scores, read_result(arguments.evaluation))
    sources = build_sources(read_evaluation(require(config, "evaluation")))
    referring = next((source for setting, source in sources if setting == GALLERY_SETTING and source.records[0].expressions), None)
    rows = overlay_rows(predictions, referring, count=NUM_ROWS) if referring is not None else []
    page = write_report(arguments.out, scores, title=arguments.title, scalars=arguments.scalars, overlays=rows)
    print(page)


if __name__ == "__main__":
    sys.exit(main())
