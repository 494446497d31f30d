"""Makes a folder of this project's layout of foreign weights: EarthMind, Sa2VA, InternVL, SAM 2, a language model, or a training's .pth.

The layout of each source is recognised from its files; every tensor is mapped or named as not used, or nothing is written.
"""

import argparse
import sys
from pathlib import Path

from eocore.checkpoints.exchange import ImportRequest, LoraScale
from eocore.command import command
from eocore.errors import ConfigError
from eocore.export.hf import MAX_SHARD_SIZE
from eocore.system import System, find_system, find_systems


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "sources",
        nargs="+",
        type=Path,
        metavar="SRC",
        help="folder or file; a later one takes the place of an earlier one where both give a part",
    )
    parser.add_argument("--sam2", type=Path, metavar="FILE", help="SAM 2: Meta's .pt file, or a folder of transformers")
    parser.add_argument("--language", type=Path, metavar="DIR", help="causal language model to put in place of the one in SRC")
    parser.add_argument("--tokenizer", type=Path, metavar="DIR", help="tokenizer (default: the one beside the language model)")
    parser.add_argument(
        "--lora-alpha", type=float, metavar="A", help="scale of the LoRA update in a training's .pth (published recipe: 256)"
    )
    parser.add_argument("--lora-rank", type=int, metavar="R", help="its rank, to be checked (published recipe: 128)")
    parser.add_argument("--system", metavar="NAME", help="whose layout to write (default: the only installed system that imports weights)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--dry-run", action="store_true", help="show from the headers of the files what would be written, and write nothing"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a model that is in DIR")
    parser.add_argument("--max-shard-size", default=MAX_SHARD_SIZE, metavar="SIZE", help="largest weight file (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.out is None and not arguments.dry_run:
        parser.error("--out DIR says where to write; or --dry-run to write nothing")
    return arguments


def importing_system(name: str | None) -> System:
    """The installed system of that name; None = the only one that imports weights.

    Raises:
        ConfigError: there is none, it imports none, or there are several to choose from.
    """
    if name is not None:
        return find_system(name)
    found = [system for system in find_systems() if system.exchange is not None]
    if len(found) != 1:
        names = ", ".join(system.name for system in found) or "none"
        raise ConfigError(f"systems that import weights: {names}. Say with --system whose layout is to be written.")
    return found[0]


@command
def main() -> None:
    """Runs the command; gives the exit status."""
    arguments = parse_arguments()
    system = importing_system(arguments.system)
    exchange = system.need(system.exchange, "no weights can be imported for it")()
    request = ImportRequest(
        sources=arguments.sources,
        sam2=arguments.sam2,
        language=arguments.language,
        tokenizer=arguments.tokenizer,
        lora=LoraScale(alpha=arguments.lora_alpha, rank=arguments.lora_rank),
    )
    plan = exchange.plan_import(request)
    print(plan.describe())
    if not arguments.dry_run:
        plan.write(arguments.out, overwrite=arguments.overwrite, max_shard_size=arguments.max_shard_size)
        print(f"Written to {arguments.out}.")


if __name__ == "__main__":
    sys.exit(main())
