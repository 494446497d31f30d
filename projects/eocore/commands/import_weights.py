"""Imports upstream weights into a folder of this project's layout: EarthMind, Sa2VA, InternVL, SAM 2, a language model, a training's .pth.

The layout of each source is recognised from its files; every tensor is mapped or named as not used, or nothing is written.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command, say
from eocore.commands.arguments import add_shard_size
from eocore.errors import CheckpointError, ConfigError, EOError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eocore.checkpoints.exchange import ImportRequest
    from eocore.system import Exchange, System


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.set_defaults(usage_error=parser.error)
    parser.add_argument(
        "sources",
        nargs="+",
        type=Path,
        metavar="SRC",
        help="folder or file; a later one replaces an earlier one where both hold a part",
    )
    parser.add_argument("--sam2", type=Path, metavar="FILE", help="SAM 2: Meta's .pt file, or a folder of transformers")
    parser.add_argument("--language", type=Path, metavar="DIR", help="causal language model instead of the one in SRC")
    parser.add_argument("--tokenizer", type=Path, metavar="DIR", help="tokenizer (default: the one beside it or beside SRC)")
    parser.add_argument(
        "--lora-alpha", type=float, metavar="A", help="scale of the LoRA update in a training's .pth (upstream recipe: 256)"
    )
    parser.add_argument("--lora-rank", type=int, metavar="R", help="its rank, to be checked (upstream recipe: 128)")
    parser.add_argument(
        "--fusion",
        metavar="NAME",
        help="how the model joins its sensors, which upstream files do not say (earthmind: hca for weights of the second release)",
    )
    parser.add_argument("--system", metavar="NAME", help="whose layout to write (default: the system that knows the layout of SRC)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--dry-run", action="store_true", help="show from the headers of the files what would be written, and write nothing"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a model that is in DIR")
    add_shard_size(parser)


def importing_system(name: str | None, request: "ImportRequest") -> "System":
    """The installed system of that name; None = the one that knows the layout of the first source.

    Raises:
        ConfigError: there is none, it imports none, or there are several to choose from.
        CheckpointError: no system knows the layout; what each found is told.
    """
    from eocore.system import find_system, find_systems

    if name is not None:
        return find_system(name)
    found = {system: system.exchange() for system in find_systems() if system.exchange is not None}
    knowing = [system for system, exchange in found.items() if exchange.recognises(request.sources[0])]
    if len(knowing) == 1 or len(found) == 1:
        return (knowing or list(found))[0]
    if not knowing and found:
        raise _unknown_to_all(found, request)
    names = ", ".join(system.name for system in knowing or found) or "none"
    raise ConfigError(f"systems that import {request.sources[0]}: {names}. Say with --system whose layout is to be written.")


def _unknown_to_all(found: "Mapping[System, Exchange]", request: "ImportRequest") -> CheckpointError:
    """What each system finds wrong with the sources, once where they agree."""
    reasons: dict[str, list[str]] = {}
    for system, exchange in found.items():
        try:
            exchange.plan_import(request)
        except EOError as error:
            reasons.setdefault(str(error), []).append(system.name)
    if len(reasons) == 1:
        return CheckpointError(next(iter(reasons)))
    told = " ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
    return CheckpointError(f"no installed system imports {request.sources[0]}. {told}")


def run(arguments: argparse.Namespace) -> None:
    """Prints what is imported, and writes it unless it is a dry run."""
    if arguments.out is None and not arguments.dry_run:
        arguments.usage_error("--out DIR says where to write; or --dry-run to write nothing")
    from eocore.checkpoints.exchange import ImportRequest, LoraScale

    request = ImportRequest(
        sources=arguments.sources,
        sam2=arguments.sam2,
        language=arguments.language,
        tokenizer=arguments.tokenizer,
        lora=LoraScale(alpha=arguments.lora_alpha, rank=arguments.lora_rank),
        fusion=arguments.fusion,
    )
    system = importing_system(arguments.system, request)
    plan = system.need(system.exchange, "no weights can be imported for it")().plan_import(request)
    say(plan.describe())
    if not arguments.dry_run:
        plan.write(arguments.out, overwrite=arguments.overwrite, max_shard_size=arguments.max_shard_size)
        say(f"Written to {arguments.out}.")


COMMAND = Command(name="import", description=__doc__, add_arguments=add_arguments, run=run)
