"""Makes a Hugging Face folder of a training checkpoint: LoRA merged, safetensors, processor, code, model card; reloads and compares it."""

import argparse
import sys
from pathlib import Path

from eocore.command import command
from eocore.config import load_config
from eocore.export.convert import DTYPES, Choices, Summary, convert
from eocore.export.hf import MAX_SHARD_SIZE
from eocore.overrides import OverrideAction


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="config file of the training")
    parser.add_argument("--trust-config", action="store_true", help="run a Python config from outside the project's configs folder")
    parser.add_argument(
        "--pth-model",
        type=Path,
        required=True,
        metavar="CKPT",
        help="iter_* folder, folder of the run, its `latest` file, .safetensors or .pth",
    )
    parser.add_argument("--save-path", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--cfg-options", nargs="+", action=OverrideAction, default={}, metavar="KEY=VALUE", help="overrides; +KEY=VALUE adds a key"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint that is in DIR")
    parser.add_argument("--dtype", choices=tuple(DTYPES), default="float32", help="of the written weights (default: float32)")
    parser.add_argument("--scores", type=Path, metavar="JSON", help="scores.json of an evaluation, for the model card")
    parser.add_argument("--max-shard-size", default=MAX_SHARD_SIZE, metavar="SIZE", help="largest weight file (default: %(default)s)")
    parser.add_argument(
        "--no-verify", dest="verify", action="store_false", help="do not reload and compare (it needs the memory of a second model)"
    )
    return parser.parse_args()


def describe(summary: Summary, folder: Path) -> str:
    """What was done, for the screen."""
    size = f"{summary.num_parameters / 1e6:,.2f} million parameters, LoRA merged in {summary.num_merged} layers"
    lines = [f"{summary.checkpoint} -> {folder}: {size}"]
    lines += [f"  {name:<32} {size / 1e6:10.3f} MB" for name, size in summary.files.items()]
    if summary.differences:
        lines.append("Reloaded in a process of its own; all weights equal, largest differences:")
        lines += [f"  {name:<32} {value:10.2g}" for name, value in summary.differences.items()]
    else:
        lines.append("Not reloaded and compared (--no-verify).")
    return "\n".join(lines)


@command
def main() -> None:
    """Runs the command; gives the exit status."""
    arguments = parse_arguments()
    names = ("dtype", "overwrite", "scores", "verify", "max_shard_size")
    choices = Choices(**{name: getattr(arguments, name) for name in names})
    config = load_config(arguments.config, arguments.cfg_options, trust=arguments.trust_config)
    summary = convert(config, arguments.pth_model, arguments.save_path, choices=choices)
    print(describe(summary, arguments.save_path))


if __name__ == "__main__":
    sys.exit(main())
