"""Estimates the memory of a training on each GPU from its config: no weights, data or GPU are needed."""

import argparse
from typing import TYPE_CHECKING

from eocore.command import Command, say
from eocore.commands.arguments import add_config, not_negative, positive, read_config

if TYPE_CHECKING:
    from eocore.train.planning.estimate import StepShape

NOTE = """Not in it: the CUDA context (about 0.5 GiB), workspaces of kernels and what the allocator leaves unused; leave a tenth free."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_config(parser)
    parser.add_argument("--gpus", type=positive, default=1, metavar="N", help="number of GPUs (default: 1)")
    lengths = "lengths of a row (default: the config's, and a quarter)"
    parser.add_argument("--tokens", type=positive, nargs="+", action="extend", metavar="L", help=lengths)
    parser.add_argument("--rows", type=positive, metavar="R", help="rows of a batch (default: the config's)")
    parser.add_argument("--samples", type=positive, help="samples that share a row (default: 1)")
    parser.add_argument("--masks", type=not_negative, help="masks of each sample (default: the system's)")
    parser.add_argument("--supervised", type=not_negative, help="supervised tokens of each sample (default: the system's)")
    parser.add_argument("--precision", choices=("bf16", "fp16", "fp32"), default="bf16", help="of the training (default: bf16)")


def step_shapes(arguments: argparse.Namespace, largest: "StepShape") -> "list[StepShape]":
    """The steps that are tried: rows as long as asked for, else a quarter and the whole of the config's."""
    from dataclasses import replace

    asked = {name: getattr(arguments, name) for name in ("rows", "samples", "masks", "supervised")}
    shape = replace(largest, ranks=arguments.gpus, **{name: value for name, value in asked.items() if value is not None})
    return [replace(shape, tokens=tokens) for tokens in arguments.tokens or [max(largest.tokens // 4, 1), largest.tokens]]


def run(arguments: argparse.Namespace) -> None:
    """Estimates and prints tables."""
    from eocore.train.device import set_deepspeed_accelerator

    set_deepspeed_accelerator()
    from eocore.system import system_of_config
    from eocore.train.launch import describe_parts
    from eocore.train.planning.estimate import PURPOSE, describe, estimate

    config = read_config(arguments)
    system = system_of_config(config)
    shapes = step_shapes(arguments, system.need(system.planning, PURPOSE)().step_shape(config.task))
    found = estimate(config, num_gpus=arguments.gpus, shapes=shapes, precision=arguments.precision)
    masks = f", {shapes[0].masks} masks each" if shapes[0].masks else ""
    what = f"{arguments.gpus} GPU(s), {arguments.precision}, {shapes[0].rows} row(s) of {shapes[0].samples} sample(s){masks}"
    say(f"{arguments.config}: {what}", *describe_parts(list(found.parts)), *describe(found), NOTE)


COMMAND = Command(name="estimate-memory", description=__doc__, add_arguments=add_arguments, run=run)
