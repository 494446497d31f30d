"""Arguments that several commands have."""

import argparse
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.errors import ConfigError
from eocore.overrides import OverrideAction
from eocore.system import DTYPES

if TYPE_CHECKING:  # a command's --help needs no config
    from mmengine.config import Config

    from eocore.jobs.work import Executor

TRUST = "run a Python config from outside the project's configs folder"
OVERRIDES = "overrides; + adds a key"
GENERATION = "how text is generated: fields of transformers' GenerationConfig, compile=true"
SHARD_SIZE = "5GB"
"""Largest weight file that is written, where nothing is said."""


def add_config(parser: argparse.ArgumentParser, help: str = "config file, or the name of one that ships (earthmind_4b_sft)") -> None:
    """A config, overrides of it, and whether it may be run."""
    parser.add_argument("config", type=Path, help=help)
    parser.add_argument("--trust-config", action="store_true", help=TRUST)
    parser.add_argument("--cfg-options", nargs="+", action=OverrideAction, default={}, metavar="KEY=VALUE", help=OVERRIDES)


def read_config(arguments: argparse.Namespace) -> "Config":
    """The config with the command line's overrides. Raises ConfigError where it cannot be read."""
    from eocore.config import load_config

    return load_config(arguments.config, arguments.cfg_options, trust=arguments.trust_config)


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse. Raises ArgumentTypeError for anything else."""
    return _whole(text, 1)


def not_negative(text: str) -> int:
    """A whole number of at least 0, for argparse. Raises ArgumentTypeError for anything else."""
    return _whole(text, 0)


def fraction(text: str) -> float:
    """A number from 0 to 1, for argparse. Raises ArgumentTypeError for anything else."""
    with suppress(ValueError):
        if 0 <= (number := float(text)) <= 1:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")


def _whole(text: str, least: int) -> int:
    number = int(text) if text.strip().lstrip("-").isdecimal() else None
    if number is None or number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {least}")
    return number


def add_generation(parser: argparse.ArgumentParser) -> None:
    """How text is generated."""
    parser.add_argument("--generation", nargs="+", action=OverrideAction, default={}, metavar="KEY=VALUE", help=GENERATION)


def add_dtype(parser: "argparse._ActionsContainer") -> None:
    """In what precision a model answers."""
    told = "precision of the answers; int8: of the language model's weights, on a CPU (default: as saved, on a CPU float32)"
    parser.add_argument("--dtype", choices=DTYPES, help=told)


def add_shard_size(parser: argparse.ArgumentParser) -> None:
    """How large a weight file may be."""
    parser.add_argument("--max-shard-size", default=SHARD_SIZE, metavar="SIZE", help="largest weight file (default: %(default)s)")


def add_gpus(parser: argparse.ArgumentParser) -> None:
    """On how many processes of this machine the command runs."""
    how = "start N processes, one on each GPU, or any number on a CPU (default: run in this one)"
    parser.add_argument("--gpus", type=int, metavar="N", help=how)


def starts_processes(arguments: argparse.Namespace) -> bool:
    """Whether the command is to start processes; False in those that it has started.

    Raises:
        ConfigError: a launcher has started another number of processes than --gpus says.
    """
    started = os.environ.get("LOCAL_WORLD_SIZE")
    if arguments.gpus is None or started == str(arguments.gpus):
        return False
    if started is not None or arguments.gpus < 1:
        raise ConfigError(
            f"--gpus {arguments.gpus}: expected a number from 1 on, and none where a launcher has started the processes (here: "
            f"{started or 'none'} on this machine). Leave --gpus out, or start the command without a launcher."
        )
    return True


def start_processes(arguments: argparse.Namespace, name: str) -> int:
    """Runs the command `name` again, on processes of its own; returns the exit status."""
    from eocore.train.processes import start

    return start(["-m", "eocore.commands", name, *arguments.words], num_processes=arguments.gpus)


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """What is said of the files of --inputs, see `eocore.commands.predict.files_said`."""
    sensors = "sensor of an input, e.g. sar=sentinel1_rtc_linear"
    parser.add_argument("--sensor", nargs="+", action="extend", default=[], metavar="INPUT=NAME", help=sensors)
    bands = "names of an input's layers in order; - leaves one out"
    parser.add_argument("--bands", nargs="+", action="extend", default=[], metavar="INPUT=A,B", help=bands)
    parser.set_defaults(window=[], gsd=[], remove_noise=False)


def add_engine(parser: "argparse._ActionsContainer") -> None:
    """Where the items of a job are worked on."""
    workers = "processes, or actors, each with the model (default: this process alone)"
    parser.add_argument("--workers", type=not_negative, default=0, metavar="N", help=workers)
    engine = "processes of this machine, those that torchrun has started, or actors of a Ray cluster (default: %(default)s)"
    parser.add_argument("--engine", default="processes", metavar="processes|torchrun|ray", help=engine)
    parser.add_argument("--address", metavar="HOST:PORT", help="of a Ray cluster; auto: the one of this machine (default: one is started)")
    gpus = "that an actor needs (default: %(default)g)"
    parser.add_argument("--gpus-per-worker", type=float, default=0.0, metavar="N", help=gpus)


def executor_of(arguments: argparse.Namespace) -> "Executor":
    """What the options of `add_engine` name; a command asks for it before it does anything.

    Raises:
        ConfigError: the options do not go together.
        SystemExit: torchrun has started this process beside a first one, for which it has worked until the end.
    """
    from eocore.jobs.engine import choose_executor

    if arguments.engine == "torchrun":
        from eocore.jobs.ranks import is_first, serve

        if not is_first():
            serve()
            raise SystemExit(0)
    return choose_executor(arguments.engine, arguments.workers, address=arguments.address, num_gpus=arguments.gpus_per_worker)
