"""Evaluates a converted model as a config's `evaluation` section says: predictions, scores, a table.

A run that was stopped goes on where it was. Predictions of another model, other data or other choices in --out are refused.
Several processes: bash tools/dist.sh test CONFIG GPUS --model DIR --out DIR
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from eocore.command import command
from eocore.config import load_config
from eocore.evaluate.engine.config_run import evaluate_config
from eocore.evaluate.reporting.tables import console_table, difference_table, to_rich
from eocore.overrides import OverrideAction


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="config file with an `evaluation` section")
    parser.add_argument("--trust-config", action="store_true", help="run a Python config from outside the project's configs folder")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="folder written by tools/convert_to_hf.py")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for predictions.jsonl and scores.json")
    parser.add_argument(
        "--overwrite", action="store_true", help="throw away predictions and scores of another model, data or choice in --out"
    )
    parser.add_argument(
        "--cfg-options", nargs="+", action=OverrideAction, default={}, metavar="KEY=VALUE", help="overrides; +KEY=VALUE adds a key"
    )
    parser.add_argument("--launcher", choices=("none", "pytorch", "slurm"), default="none", help="accepted for the published usage")
    return parser.parse_args()


@command
def main() -> None:
    """Runs the command; gives the exit status."""
    arguments = parse_arguments()
    config = load_config(arguments.config, arguments.cfg_options, trust=arguments.trust_config)
    scores = evaluate_config(config, arguments.model, arguments.out, overwrite=arguments.overwrite)
    if scores is not None:
        for table in (console_table(scores), difference_table(scores)):
            Console().print(to_rich(table))


if __name__ == "__main__":
    sys.exit(main())
