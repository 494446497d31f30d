"""Evaluates a converted model as a config's `evaluation` section says: predictions, scores, a table.

A run that was stopped is resumed. Predictions of another model, other data or other choices in --out are refused.
"""

import argparse
from pathlib import Path

from eocore.command import Command
from eocore.commands import arguments as shared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    shared.add_config(parser, "config file with an `evaluation` section")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="folder written by tools/convert_to_hf.py")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for predictions.jsonl and scores.json")
    parser.add_argument(
        "--overwrite", action="store_true", help="throw away predictions and scores of another model, data or choice in --out"
    )
    shared.add_gpus(parser)
    parser.add_argument("--launcher", choices=("none", "pytorch", "slurm"), default="none", help="accepted for the upstream usage")


def run(arguments: argparse.Namespace) -> int:
    """Evaluates, here or on processes of its own, and prints the tables."""
    if shared.starts_processes(arguments):
        return shared.start_processes(arguments, COMMAND.name)
    from eocore.evaluate.commands.showing import show_config_scores
    from eocore.evaluate.engine.config_run import evaluate_config

    config = shared.read_config(arguments)
    show_config_scores(evaluate_config(config, arguments.model, out=arguments.out, overwrite=arguments.overwrite))
    return 0


COMMAND = Command(name="test", description=__doc__, add_arguments=add_arguments, run=run)
