"""Plans a training that packs its samples: packs, balance of the GPUs, steps and hours, from annotations and image headers alone."""

import argparse
import json
import os
import sys
from pathlib import Path

from eocore.command import command
from eocore.config import load_config, require
from eocore.overrides import OverrideAction
from eocore.system import system_of_config
from eocore.train.device import set_deepspeed_accelerator


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="config file")
    parser.add_argument("--gpus", type=int, default=8, metavar="N", help="number of GPUs (default: 8)")
    parser.add_argument("--mfu", type=float, default=0.4, help="useful work as a share of what the GPUs could do (default: 0.4)")
    parser.add_argument("--peak-tflops", type=float, metavar="T", help="of a GPU (default: 989.4, H100 and H200 in bfloat16; A100: 312)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that measure samples (default: one a core)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw lengths, packs and balance here (PNG)")
    parser.add_argument("--cfg-options", nargs="+", action=OverrideAction, default={}, metavar="KEY=VALUE", help="overrides; + adds a key")
    parser.add_argument("--trust-config", action="store_true", help="run a Python config from outside the project's configs folder")
    return parser.parse_args()


@command
def main() -> None:
    """Runs the command; gives the exit status."""
    arguments = parse_arguments()
    set_deepspeed_accelerator()
    config = load_config(arguments.config, arguments.cfg_options, trust=arguments.trust_config)
    system = system_of_config(config)
    from eocore.train.planning.plan import PEAK_TFLOPS, as_json, describe, draw, plan_run

    planning = system.need(system.planning, "its trainings cannot be planned")()
    sampler, useful = planning.plan_packs(config, num_gpus=arguments.gpus, num_workers=arguments.workers)
    plan, packs = plan_run(
        sampler,
        useful,
        accumulation=require(config, "training").get("accumulation", 1),
        mfu=arguments.mfu,
        peak_tflops=arguments.peak_tflops or PEAK_TFLOPS,
    )
    print("\n".join([f"{arguments.config}, {arguments.gpus} GPU(s)", *describe(plan)]))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(as_json(plan), indent=2) + "\n")
    if arguments.plot:
        draw(arguments.plot, sampler.sizes(0), packs=packs, max_tokens=sampler.options.max_tokens)


if __name__ == "__main__":
    sys.exit(main())
