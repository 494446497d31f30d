"""Converts a training checkpoint into a Hugging Face folder: LoRA merged, safetensors, processor, code, card; reloads and compares it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command, say
from eocore.commands.arguments import add_config, add_shard_size, read_config

if TYPE_CHECKING:
    from eocore.export.convert import Summary

DTYPES = ("float32", "bfloat16", "float16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add_config(parser, "config file of the training")
    parser.add_argument(
        "--pth-model",
        type=Path,
        required=True,
        metavar="CKPT",
        help="iter_* folder, folder of the run, its `latest` or `best` file, .safetensors or .pth",
    )
    parser.add_argument("--save-path", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint that is in DIR")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of the written weights (default: float32)")
    parser.add_argument(
        "--adapter-only",
        action="store_true",
        help="write only what was trained, as a folder of peft for task.model.pretrained",
    )
    parser.add_argument("--scores", type=Path, metavar="JSON", help="scores.json of an evaluation, for the model card")
    add_shard_size(parser)
    parser.add_argument(
        "--no-verify", dest="verify", action="store_false", help="do not reload and compare (it needs the memory of a second model)"
    )


def describe(summary: "Summary", folder: Path) -> str:
    """What was done, for the screen."""
    how = "LoRA of" if summary.adapter else "LoRA merged in"
    size = f"{summary.num_parameters / 1e6:,.2f} million parameters, {how} {summary.num_merged} layers"
    lines = [f"{summary.checkpoint} -> {folder}: {size}"]
    lines += [f"  {name:<32} {size / 1e6:10.3f} MB" for name, size in summary.files.items()]
    if summary.differences:
        lines.append("Reloaded in a process of its own; all weights equal, largest differences:")
        lines += [f"  {name:<32} {value:10.2g}" for name, value in summary.differences.items()]
    else:
        lines.append("Not reloaded and compared (--no-verify).")
    return "\n".join(lines)


def run(arguments: argparse.Namespace) -> None:
    """Converts and prints what was written."""
    from eocore.export.convert import Choices, convert

    names = ("adapter_only", "dtype", "overwrite", "scores", "verify", "max_shard_size")
    choices = Choices(**{name: getattr(arguments, name) for name in names})
    summary = convert(read_config(arguments), arguments.pth_model, out_dir=arguments.save_path, choices=choices)
    say(describe(summary, arguments.save_path))


COMMAND = Command(name="convert", description=__doc__, add_arguments=add_arguments, run=run)
