"""Embeds the windows of whole scenes by a model of images: vectors with footprints, to build an index of (tools/search_index.py --vectors).

Writes vectors.parquet (GeoParquet); vector_windows/ keeps what is done, so that the same command goes on where one was stopped.
"""

import argparse
from pathlib import Path

from eocore.command import Command, say
from eocore.commands.arguments import add_engine, add_input_options, executor_of, not_negative, positive
from eocore.commands.predict import files_said

EPILOG = """Scenes of any size are read by windows: GeoTIFFs, and the folders of products as delivered. Each must say where
it lies; the images of several sensors of one scene lie on one pixel grid."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.epilog = EPILOG
    parser.add_argument("model", type=Path, help="folder of a converted model that embeds images")
    inputs = "scenes: folders, files, a list (.txt) or a table (image or one column an input, id)"
    parser.add_argument("--inputs", nargs="+", action="extend", required=True, metavar="[INPUT=]PATH", help=inputs)
    add_input_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    windows = parser.add_argument_group("windows")
    windows.add_argument("--side", type=positive, default=256, metavar="PX", help="of a window (default: %(default)s)")
    windows.add_argument("--overlap", type=not_negative, default=0, metavar="PX", help="that neighbours share (default: %(default)s)")
    least = "least share of a window's pixels with data; others get no vector and are counted (default: %(default)g)"
    windows.add_argument("--min-data", type=float, default=0.5, metavar="SHARE", help=least)
    clouds = "count clouds and their shadows as without data, by the layer of each product"
    windows.add_argument("--clouds", action="store_const", const="auto", help=clouds)
    windows.add_argument("--batch-size", type=positive, default=32, metavar="N", help="windows embedded together (default: %(default)s)")
    unreadable = "scenes and windows that cannot be read: stop, or leave out (default: %(default)s)"
    windows.add_argument("--unreadable", choices=("stop", "mark"), default="stop", help=unreadable)
    add_engine(windows)
    parser.add_argument("--device", help="as torch names it (default: the GPU if there is one)")
    parser.add_argument("--overwrite", action="store_true", help="throw away what another request has left in DIR")


def run(arguments: argparse.Namespace) -> int:
    """Embeds, and names the file; 1 where scenes or windows have no vector because they could not be read."""
    from eocore.predict.inputs import INPUTS
    from eocore.predict.items import find_items
    from eocore.scenes.embedding import EmbedOptions
    from eocore.scenes.vectors import VectorsRequest, embed_scenes, find_scenes

    executor = executor_of(arguments)
    images = find_items(arguments.inputs, options=files_said(arguments, INPUTS))
    scenes, unread = find_scenes(images, unreadable=arguments.unreadable, clouds=arguments.clouds)
    embedding = EmbedOptions(
        model=arguments.model,
        scenes=scenes,
        min_data=arguments.min_data,
        batch_size=arguments.batch_size,
        device=arguments.device,
    )
    result = embed_scenes(
        VectorsRequest(
            embedding=embedding,
            out=arguments.out,
            side=arguments.side,
            overlap=arguments.overlap,
            unreadable=arguments.unreadable,
            executor=executor,
            overwrite=arguments.overwrite,
        )
    )
    say(f"{result.file}: {result.num_vectors:,} vectors of {len(scenes):,} scenes; {result.num_empty:,} windows hold too little data")
    if unread or result.failed:
        say(f"  left out as unreadable: {len(unread):,} scenes and {len(result.failed):,} windows")
    return 1 if unread or result.failed else 0


COMMAND = Command(name="embed-scenes", description=__doc__, add_arguments=add_arguments, run=run)
