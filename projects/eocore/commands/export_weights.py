"""Writes a model of this project in an upstream layout, so that scripts made for the upstream model work with it."""

import argparse
from pathlib import Path

from eocore.command import Command, say
from eocore.commands.arguments import add_shard_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder written by tools/import_weights.py or tools/convert_to_hf.py")
    parser.add_argument("--layout", help="upstream layout to write (default: the first of the model's system)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--rest", type=Path, metavar="SRC", help="where SAM 2's parts for video are: import's folder, upstream model, or Meta's SAM 2 file"
    )
    parser.add_argument("--without-video", action="store_true", help="leave SAM 2's parts for video out; the upstream code may refuse that")
    parser.add_argument("--overwrite", action="store_true", help="replace a model that is in DIR")
    add_shard_size(parser)


def run(arguments: argparse.Namespace) -> None:
    """Writes the folder, and prints what is in it.

    Raises:
        ConfigError: the model's system writes no such layout.
    """
    from eocore.checkpoints.exchange import ExportRequest
    from eocore.errors import ConfigError
    from eocore.system import system_of_model

    system = system_of_model(arguments.model)
    exchange = system.need(system.exchange, "its models cannot be written in an upstream layout")()
    layout = arguments.layout or exchange.layouts[0]
    if layout not in exchange.layouts:
        raise ConfigError(f"--layout {layout}: system '{system.name}' writes {', '.join(exchange.layouts)}. Choose one of these.")
    request = ExportRequest(layout=layout, rest=arguments.rest, without_video=arguments.without_video)
    plan = exchange.plan_export(arguments.model, request)
    plan.write(arguments.out, overwrite=arguments.overwrite, max_shard_size=arguments.max_shard_size)
    say(plan.describe(arguments.out))


COMMAND = Command(name="export", description=__doc__, add_arguments=add_arguments, run=run)
