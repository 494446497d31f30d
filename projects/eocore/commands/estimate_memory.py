"""Estimates the memory of a training on each GPU from its config: no weights, data or GPU are needed."""

import argparse
from typing import TYPE_CHECKING

from eocore.command import Command, say
from eocore.commands.arguments import add_config, not_negative, positive, read_config

if TYPE_CHECKING:
    from mmengine.config import Config

NOTE = """Not in it: the CUDA context (about 0.5 GiB), workspaces of kernels and what the allocator leaves unused; leave a tenth free."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_config(parser)
    parser.add_argument("--gpus", type=positive, default=1, metavar="N", help="number of GPUs (default: 1)")
    lengths = "lengths of a row (default: the config's, and a quarter)"
    parser.add_argument("--tokens", type=positive, nargs="+", action="extend", metavar="L", help=lengths)
    parser.add_argument("--rows", type=positive, metavar="R", help="rows of a batch (default: the config's)")
    parser.add_argument("--samples", type=positive, default=1, help="samples that share a row (default: 1)")
    parser.add_argument("--masks", type=not_negative, default=5, help="masks of each sample (default: 5)")
    parser.add_argument("--supervised", type=not_negative, default=64, help="supervised tokens of each sample (default: 64)")
    parser.add_argument("--precision", choices=("bf16", "fp16", "fp32"), default="bf16", help="of the training (default: bf16)")


def row_lengths(config: "Config") -> list[int]:
    """A quarter of the config's row, and the whole."""
    longest = config.task.get("row_length") or config.task.get("max_length", 8192)
    return [longest // 4, longest]


def run(arguments: argparse.Namespace) -> None:
    """Estimates and prints tables."""
    from eocore.train.device import set_deepspeed_accelerator

    set_deepspeed_accelerator()
    from eocore.train.launch import describe_parts
    from eocore.train.planning.estimate import StepShape, describe, estimate

    config = read_config(arguments)
    lengths = arguments.tokens or row_lengths(config)
    rows = arguments.rows or (1 if config.task.get("row_length") else config.task.get("batch_size", 1))
    choices = {"rows": rows, "samples": arguments.samples, "masks": arguments.masks, "supervised": arguments.supervised}
    shapes = [StepShape(tokens=tokens, **choices) for tokens in lengths]
    found = estimate(config, num_gpus=arguments.gpus, shapes=shapes, precision=arguments.precision)
    what = f"{arguments.gpus} GPU(s), {arguments.precision}, {rows} row(s) of {arguments.samples} sample(s), {arguments.masks} masks each"
    say(f"{arguments.config}: {what}", *describe_parts(list(found.parts)), *describe(found), NOTE)


COMMAND = Command(name="estimate-memory", description=__doc__, add_arguments=add_arguments, run=run)
