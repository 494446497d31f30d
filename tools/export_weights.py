"""Writes a model of this project in the layout of the published EarthMind, so that scripts made for that one go on working with it."""

import argparse
import sys
from pathlib import Path

from earthmind.checkpoints.export_upstream import LAYOUTS, plan_export, write_export
from eocore.command import command
from eocore.export.hf import MAX_SHARD_SIZE


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder written by tools/import_weights.py or tools/convert_to_hf.py")
    parser.add_argument("--layout", choices=LAYOUTS, default=LAYOUTS[0], help="layout to write (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--rest", type=Path, metavar="SRC", help="where SAM 2's parts for video are: import's folder, published model, or Meta's SAM 2 file"
    )
    parser.add_argument(
        "--without-video", action="store_true", help="leave SAM 2's parts for video out; the published code may refuse that"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a model that is in DIR")
    parser.add_argument("--max-shard-size", default=MAX_SHARD_SIZE, metavar="SIZE", help="largest weight file (default: %(default)s)")
    return parser.parse_args()


@command
def main() -> None:
    """Runs the command; gives the exit status."""
    arguments = parse_arguments()
    publication = plan_export(arguments.model, rest=arguments.rest, without_video=arguments.without_video)
    write_export(publication, arguments.out, overwrite=arguments.overwrite, max_shard_size=arguments.max_shard_size)
    values = sum(tensor.header.numel for tensor in publication.tensors.values())
    print(
        f"{arguments.out}: {len(publication.tensors)} tensors, {values:,} values, {publication.num_restored} of them unused parts put back."
    )
    print("The published code lies not in it: put the .py files of the published model beside the weights.")


if __name__ == "__main__":
    sys.exit(main())
