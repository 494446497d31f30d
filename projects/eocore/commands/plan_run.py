"""Plans a training that packs its samples: packs, balance of the GPUs, steps and hours, from annotations and image headers alone."""

import argparse
import json
import os
from pathlib import Path

from eocore.command import Command, say
from eocore.commands.arguments import add_config, positive, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_config(parser)
    parser.add_argument("--gpus", type=positive, default=8, metavar="N", help="number of GPUs (default: 8)")
    parser.add_argument("--mfu", type=float, default=0.4, help="useful work as a fraction of what the GPUs could do (default: 0.4)")
    parser.add_argument("--peak-tflops", type=float, metavar="T", help="of a GPU (default: 989.4, H100 and H200 in bfloat16; A100: 312)")
    parser.add_argument(
        "--workers", type=positive, default=os.cpu_count() or 1, help="processes that measure samples (default: one a core)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw lengths, packs and balance here (PNG)")


def run(arguments: argparse.Namespace) -> None:
    """Plans, prints, and writes what is asked for."""
    from eocore.config import require
    from eocore.system import system_of_config
    from eocore.train.device import set_deepspeed_accelerator

    set_deepspeed_accelerator()
    from eocore.train.planning.plan import PEAK_TFLOPS, as_json, describe, draw, plan_run

    config = read_config(arguments)
    system = system_of_config(config)
    planning = system.need(system.planning, "its trainings cannot be planned")()
    sampler, useful = planning.plan_packs(config, num_gpus=arguments.gpus, num_workers=arguments.workers)
    plan, packs = plan_run(
        sampler,
        useful,
        accumulation=require(config, "training").get("accumulation", 1),
        mfu=arguments.mfu,
        peak_tflops=arguments.peak_tflops or PEAK_TFLOPS,
    )
    say(f"{arguments.config}, {arguments.gpus} GPU(s)", *describe(plan))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(as_json(plan), indent=2) + "\n")
    if arguments.plot:
        draw(arguments.plot, sampler.sizes(0), packs=packs, max_tokens=sampler.options.max_tokens)


COMMAND = Command(name="plan-run", description=__doc__, add_arguments=add_arguments, run=run)
