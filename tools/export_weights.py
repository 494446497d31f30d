"""Writes a model of this project in the layout of the published EarthMind, so that scripts made for that one go on working with it."""

import argparse
import sys
from pathlib import Path

from eocore.checkpoints.exchange import ExportRequest
from eocore.command import command
from eocore.errors import ConfigError
from eocore.export.hf import MAX_SHARD_SIZE
from eocore.system import system_of_model


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder written by tools/import_weights.py or tools/convert_to_hf.py")
    parser.add_argument("--layout", help="upstream layout to write (default: the first of the model's system)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--rest", type=Path, metavar="SRC", help="where SAM 2's parts for video are: import's folder, published model, or Meta's SAM 2 file"
    )
    parser.add_argument(
        "--without-video", action="store_true", help="leave SAM 2's parts for video out; the published code may refuse that"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a model that is in DIR")
    parser.add_argument("--max-shard-size", default=MAX_SHARD_SIZE, metavar="SIZE", help="largest weight file (default: %(default)s)")
    return parser.parse_args()


@command
def main() -> None:
    """Runs the command; gives the exit status."""
    arguments = parse_arguments()
    system = system_of_model(arguments.model)
    exchange = system.need(system.exchange, "its models cannot be written in an upstream layout")()
    layout = arguments.layout or exchange.layouts[0]
    if layout not in exchange.layouts:
        raise ConfigError(f"--layout {layout}: system '{system.name}' writes {', '.join(exchange.layouts)}. Choose one of these.")
    request = ExportRequest(layout=layout, rest=arguments.rest, without_video=arguments.without_video)
    plan = exchange.plan_export(arguments.model, request)
    plan.write(arguments.out, overwrite=arguments.overwrite, max_shard_size=arguments.max_shard_size)
    print(plan.describe(arguments.out))


if __name__ == "__main__":
    sys.exit(main())
