"""Plans a training: batches or packs, balance of the GPUs, steps and hours, from annotations and image headers, or supposed sizes."""

import argparse
import json
import os
from pathlib import Path

from eocore.command import Command, say
from eocore.commands.arguments import add_config, positive, read_config
from eocore.overrides import OverrideAction

SIZES = "with --samples: tokens, tiles, mask_images, masks and scored of a sample; what is not named is 0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_config(parser)
    parser.add_argument("--gpus", type=positive, default=8, metavar="N", help="number of GPUs (default: 8)")
    parser.add_argument("--mfu", type=float, default=0.4, help="useful work as a fraction of what the GPUs could do (default: 0.4)")
    parser.add_argument("--peak-tflops", type=float, metavar="T", help="of a GPU (default: 989.4, H100 and H200 in bfloat16; A100: 312)")
    parser.add_argument(
        "--workers", type=positive, default=os.cpu_count() or 1, help="processes that measure samples (default: one a core)"
    )
    parser.add_argument("--samples", type=positive, metavar="N", help="read no data: suppose so many samples of the sizes of --sizes")
    parser.add_argument("--sizes", nargs="+", action=OverrideAction, default={}, metavar="NAME=N", help=SIZES)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw lengths, packs and balance here (PNG)")


def run(arguments: argparse.Namespace) -> None:
    """Plans, prints, and writes what is asked for."""
    from eocore.config import require
    from eocore.errors import ConfigError
    from eocore.files import require_writable_file, write_file, writing
    from eocore.train.device import set_deepspeed_accelerator

    set_deepspeed_accelerator()
    from eocore.train.planning.batches import read_batches, supposed_batches
    from eocore.train.planning.plan import PEAK_TFLOPS, as_json, describe, draw, plan_run

    if bool(arguments.sizes) != (arguments.samples is not None):
        raise ConfigError("--samples and --sizes belong together: how many samples are supposed, and how large each is.")
    if arguments.plot and arguments.plot.suffix.lower() != ".png":
        raise ConfigError(f"--plot {arguments.plot}: the drawing is a PNG, but the name does not end in .png. Give such a name.")
    for path in (arguments.json, arguments.plot):
        if path is not None:
            require_writable_file(path, "the plan")
    config = read_config(arguments)
    if arguments.samples is None:
        planned = read_batches(config, num_gpus=arguments.gpus, num_workers=arguments.workers)
    else:
        planned = supposed_batches(config, num_gpus=arguments.gpus, num_samples=arguments.samples, sizes=arguments.sizes)
    plan, figures = plan_run(
        planned,
        accumulation=require(config, "training").get("accumulation", 1),
        mfu=arguments.mfu,
        peak_tflops=arguments.peak_tflops or PEAK_TFLOPS,
    )
    say(f"{arguments.config}, {arguments.gpus} GPU(s)", *describe(plan))
    if arguments.json:
        write_file(arguments.json, json.dumps(as_json(plan), indent=2) + "\n")
    if arguments.plot:
        with writing(arguments.plot, "the drawing"):
            draw(arguments.plot, planned, figures=figures)


COMMAND = Command(name="plan-run", description=__doc__, add_arguments=add_arguments, run=run)
