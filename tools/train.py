"""Trains what a config describes, or, with --dry-run, tries one step of it."""

import argparse
import sys
from pathlib import Path

try:
    from mmengine.config import Config

    from eocore.config import load_config, require
    from eocore.errors import ConfigError, EOError
    from eocore.overrides import OverrideAction
    from eocore.system import systems_of_config
    from eocore.train.checkpoint.allowable import ALLOWABLE
    from eocore.train.device import set_deepspeed_accelerator
    from eocore.train.resilience.failure import show_failure, show_interrupt
    from eocore.train.resilience.preemption import ENDED_AT_ONCE
except KeyboardInterrupt:  # these imports take seconds
    sys.stderr.write("Ctrl-C before the training began: nothing was written.\n")
    sys.exit(130)  # as ENDED_AT_ONCE

PREEMPTED = 75
"""Exit status of a run that was told to stop (SIGTERM, Ctrl-C) and has saved. Source: EX_TEMPFAIL of sysexits.h, `try again later`."""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="On several processes: bash tools/dist.sh train CONFIG GPUS")
    parser.add_argument("config", type=Path, help="config file")
    parser.add_argument("--trust-config", action="store_true", help="run a Python config from outside the project's configs folder")
    parser.add_argument("--work-dir", type=Path, help="where checkpoints, logs and curves go (default: work_dirs/<config name>)")
    parser.add_argument("--deepspeed", metavar="NAME", help="a file of configs/_base_/zero without its ending, or a JSON file")
    parser.add_argument("--zero", type=int, choices=range(4), metavar="N", help="short for --deepspeed deepspeed_zeroN")
    parser.add_argument("--cfg-options", nargs="+", action=OverrideAction, default={}, metavar="KEY=VALUE", help="overrides; + adds a key")
    parser.add_argument("--seed", type=int, help="overrides the config's seed")
    parser.add_argument(
        "--resume", nargs="?", const="auto", metavar="PATH", help="go on from PATH (default: the newest checkpoint there is)"
    )
    parser.add_argument("--strict", action="store_true", help="refuse to resume where the newest checkpoint is damaged")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        choices=list(ALLOWABLE),
        help="resume although this differs from the checkpoint (may be repeated)",
    )
    parser.add_argument("--dry-run", action="store_true", help="make one step, report parameters, shapes, memory; keep nothing")
    launchers = ("none", "pytorch", "slurm")
    parser.add_argument("--launcher", choices=launchers, default="none", help="as published; the environment decides")
    return parser.parse_args()


def read_config(arguments: argparse.Namespace) -> Config:
    """The config with the command line's overrides."""
    if arguments.deepspeed and arguments.zero is not None:
        raise ConfigError("--deepspeed and --zero both name a DeepSpeed configuration; give one of them.")
    config = load_config(arguments.config, arguments.cfg_options, trust=arguments.trust_config)
    name = arguments.deepspeed or (f"deepspeed_zero{arguments.zero}" if arguments.zero is not None else None)
    if name:
        require(config, "training")["deepspeed"] = name
    if arguments.seed is not None:
        config.seed = arguments.seed
    return config


def main() -> int:
    """Runs the command; gives the exit status."""
    arguments = parse_arguments()
    try:
        config = read_config(arguments)
        set_deepspeed_accelerator()
        systems_of_config(config)
        from eocore.train.launch import dry_run, train
        from eocore.train.strategy import stop_process_group

        finished = True
        work_dir = arguments.work_dir or Path("work_dirs") / arguments.config.stem
        if arguments.dry_run:
            print(dry_run(config, work_dir, resume=arguments.resume, allow=arguments.allow), end="")
        else:
            finished = train(config, work_dir, resume=arguments.resume, strict=arguments.strict, allow=arguments.allow)
        stop_process_group()
    except EOError as error:
        show_failure(error)
        return 1
    except KeyboardInterrupt:  # before the training has handlers of its own, or in a dry run
        show_interrupt()
        return ENDED_AT_ONCE
    return 0 if finished else PREEMPTED


if __name__ == "__main__":
    sys.exit(main())
