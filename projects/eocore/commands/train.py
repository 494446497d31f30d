"""Trains what a config describes, or, with --dry-run, tries one step of it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command, say
from eocore.commands import arguments as shared
from eocore.errors import ConfigError, EOError

if TYPE_CHECKING:
    from mmengine.config import Config

PREEMPTED = 75
"""Exit status of a run that was told to stop (SIGTERM, Ctrl-C) and has saved. Source: EX_TEMPFAIL of sysexits.h, `try again later`."""
LAUNCHERS = ("none", "pytorch", "slurm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    from eocore.train.checkpoint.allowable import ALLOWABLE

    shared.add_config(parser)
    parser.add_argument("--work-dir", type=Path, help="where checkpoints, logs and curves go (default: work_dirs/<config name>)")
    parser.add_argument("--deepspeed", metavar="NAME", help="a file of configs/_base_/zero without its ending, or a JSON file")
    parser.add_argument("--zero", type=int, choices=range(4), metavar="N", help="short for --deepspeed deepspeed_zeroN")
    parser.add_argument("--seed", type=int, help="overrides the config's seed")
    parser.add_argument(
        "--resume", nargs="?", const="auto", metavar="PATH", help="resume from PATH (default: the newest checkpoint there is)"
    )
    parser.add_argument("--strict", action="store_true", help="refuse to resume where the newest checkpoint is damaged")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        choices=ALLOWABLE,
        help="resume although this differs from the checkpoint (may be repeated)",
    )
    parser.add_argument("--dry-run", action="store_true", help="make one step, report parameters, shapes, memory; keep nothing")
    shared.add_gpus(parser)
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="accepted as in upstream commands; the environment decides")


def read_config(arguments: argparse.Namespace) -> "Config":
    """The config with the command line's overrides."""
    from eocore.config import require

    if arguments.deepspeed and arguments.zero is not None:
        raise ConfigError("--deepspeed and --zero both name a DeepSpeed configuration; give one of them.")
    config = shared.read_config(arguments)
    name = arguments.deepspeed or (f"deepspeed_zero{arguments.zero}" if arguments.zero is not None else None)
    if name:
        require(config, "training")["deepspeed"] = name
    if arguments.seed is not None:
        config.seed = arguments.seed
    return config


def run(arguments: argparse.Namespace) -> int:
    """Trains, here or on processes of its own; returns the exit status."""
    if shared.starts_processes(arguments):
        return shared.start_processes(arguments, COMMAND.name)
    try:
        return _train(arguments)
    except KeyboardInterrupt:  # before the training has handlers of its own, or in a dry run
        from eocore.train.resilience.failure import show_interrupt
        from eocore.train.resilience.preemption import ENDED_AT_ONCE

        show_interrupt()
        return ENDED_AT_ONCE


def _train(arguments: argparse.Namespace) -> int:
    from eocore.train.resilience.failure import as_unforeseen, show_failure

    try:
        config = read_config(arguments)
        finished = _run_training(config, arguments)
    except EOError as error:
        show_failure(error)
        return 1
    except Exception as error:  # whatever it is, its last line stands at the end, once
        show_failure(as_unforeseen(error))
        return 1
    return 0 if finished else PREEMPTED


def _run_training(config: "Config", arguments: argparse.Namespace) -> bool:
    from eocore.system import systems_of_config
    from eocore.train.device import require_deepspeed

    require_deepspeed()
    systems_of_config(config)
    from eocore.predict.validation import ScoredAnswers
    from eocore.train.launch import dry_run, train
    from eocore.train.strategy import stop_process_group

    finished = True
    work_dir = arguments.work_dir or Path("work_dirs") / arguments.config.stem
    if arguments.dry_run:
        say(dry_run(config, work_dir, resume=arguments.resume, allow=arguments.allow, answers=ScoredAnswers).rstrip("\n"))
    else:
        strict, allow = arguments.strict, arguments.allow
        finished = train(config, work_dir, resume=arguments.resume, strict=strict, allow=allow, answers=ScoredAnswers)
    stop_process_group()
    return finished


COMMAND = Command(name="train", description=__doc__, add_arguments=add_arguments, run=run)
