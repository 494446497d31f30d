"""Writes the folder that AerithVLM's README promises, with llama_lora_adapter/, of a training's checkpoint."""

import argparse
import sys
from pathlib import Path

from eocore.command import command, say
from eocore.commands.arguments import add_config, read_config


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config(parser, "config file of the training, stage 1 or 2")
    parser.add_argument(
        "--pth-model", type=Path, required=True, metavar="CKPT", help="iter_* folder, folder of the run, .safetensors or .pth"
    )
    parser.add_argument("--save-path", type=Path, required=True, metavar="DIR", help="folder to write, such as aerithvlm_finetuned")
    parser.add_argument("--overwrite", action="store_true", help="replace a model that is in DIR")
    return parser


def main() -> None:
    """Parses the command line and runs."""
    from aerith.checkpoints.exchange import write_trained

    arguments = build_parser().parse_args()
    write_trained(read_config(arguments), arguments.pth_model, out=arguments.save_path, overwrite=arguments.overwrite)
    names = ", ".join(sorted(path.name for path in arguments.save_path.iterdir()))
    say(f"{arguments.pth_model} -> {arguments.save_path}: {names}")


if __name__ == "__main__":
    sys.exit(command(main)())
