"""Estimates the memory of a training on each GPU from its config: no weights, data or GPU are needed."""

import argparse
import sys
from pathlib import Path

from mmengine.config import Config

from eocore.command import command
from eocore.config import load_config
from eocore.overrides import OverrideAction
from eocore.train.device import set_deepspeed_accelerator

NOTE = """Not in it: the CUDA context (about 0.5 GiB), workspaces of kernels and what the allocator leaves unused; leave a tenth free."""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="config file")
    parser.add_argument("--trust-config", action="store_true", help="run a Python config from outside the project's configs folder")
    parser.add_argument("--gpus", type=int, default=1, metavar="N", help="number of GPUs (default: 1)")
    parser.add_argument("--tokens", type=int, nargs="+", metavar="L", help="lengths of a row (default: the config's, and a quarter)")
    parser.add_argument("--rows", type=int, metavar="R", help="rows of a batch (default: the config's)")
    parser.add_argument("--samples", type=int, default=1, help="samples that share a row (default: 1)")
    parser.add_argument("--masks", type=int, default=5, help="masks of each sample (default: 5)")
    parser.add_argument("--supervised", type=int, default=64, help="learnt tokens of each sample (default: 64)")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16", help="of the training (default: bf16)")
    parser.add_argument("--cfg-options", nargs="+", action=OverrideAction, default={}, metavar="KEY=VALUE", help="overrides; + adds a key")
    return parser.parse_args()


def row_lengths(config: Config) -> list[int]:
    """A quarter of the config's row, and the whole."""
    longest = config.task.get("row_length") or config.task.get("max_length", 8192)
    return [longest // 4, longest]


@command
def main() -> None:
    """Runs the command; gives the exit status."""
    arguments = parse_arguments()
    set_deepspeed_accelerator()
    from eocore.train.launch import describe_parts
    from eocore.train.planning.estimate import StepShape, describe, estimate

    config = load_config(arguments.config, arguments.cfg_options, trust=arguments.trust_config)
    lengths = arguments.tokens or row_lengths(config)
    rows = arguments.rows or (1 if config.task.get("row_length") else config.task.get("batch_size", 1))
    choices = {"rows": rows, "samples": arguments.samples, "masks": arguments.masks, "supervised": arguments.supervised}
    shapes = [StepShape(tokens=tokens, **choices) for tokens in lengths]
    found = estimate(config, num_gpus=arguments.gpus, shapes=shapes, precision=arguments.precision)
    what = f"{arguments.gpus} GPU(s), {arguments.precision}, {rows} row(s) of {arguments.samples} sample(s), {arguments.masks} masks each"
    print("\n".join([f"{arguments.config}: {what}", *describe_parts(list(found.parts)), *describe(found), NOTE]))


if __name__ == "__main__":
    sys.exit(main())
