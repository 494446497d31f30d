"""Where in images texts are true: for each image a figure, and a GeoTIFF with a layer of cosines for each text."""

import argparse
import sys
from pathlib import Path

from eocore.command import command, say
from eocore.errors import ConfigError, DataError
from ms_clip.upstream.arguments import add_model, bands_of, load_named


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    parser.add_argument("--images", required=True, metavar="DIR|FILE", help="folder, image, .txt, or .yaml with a list `images`")
    parser.add_argument("--query", nargs="+", default=[], action="extend", metavar="TEXT", help="what to look for")
    parser.add_argument("--queries-file", metavar="FILE", help=".txt, or .yaml with a list `queries`")
    parser.add_argument("--attention", default="value", metavar="KIND", help="of the last layer: value or plain (default: %(default)s)")
    parser.add_argument("--window-px", type=int, metavar="N", help="side of the squares the model sees at a time (default: the short side)")
    parser.add_argument("--save-path", type=Path, required=True, metavar="DIR", help="new or empty folder")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Writes the files and names them. Raises ConfigError where two images have one name, or the folder is not empty."""
    from eocore.files import write_file
    from eocore.predict.image_files import ImageFile, read_images
    from eocore.predict.inputs import OPTICAL
    from eocore.progress import Progress
    from ms_clip.dense.map_files import draw_maps, write_map_tif
    from ms_clip.dense.similarity import MapChoices, similarity_maps
    from ms_clip.upstream.embedding import tell_faults
    from ms_clip.upstream.lists import choose_list, image_paths

    queries = choose_list(arguments.query, arguments.queries_file, key="queries", options=("--query", "--queries-file"))
    choices = MapChoices(kind=arguments.attention, window_px=arguments.window_px, batch_size=arguments.batch_size)
    paths, out = image_paths(arguments.images), arguments.save_path
    names = [path.stem for path in paths]
    if len(set(names)) < len(names) or (out.exists() and any(out.iterdir())):
        why = "two images have one name, so one's maps would replace the other's" if len(set(names)) < len(names) else f"{out} is not empty"
        raise ConfigError(f"{why}. Nothing was computed; give images of different names, and a new folder with --save-path.")
    loaded = load_named(arguments)
    num_placed = 0
    faults: dict[Path, DataError] = {}
    with Progress("images", len(paths), unit="images") as progress:
        for path in paths:
            try:
                (scene,) = read_images({OPTICAL: ImageFile((str(path),), sensor=arguments.sensor, bands=bands_of(arguments))}).values()
                maps = similarity_maps(loaded, scene, queries=queries, choices=choices)
            except DataError as error:
                if not arguments.skip_broken:
                    raise
                faults[path] = error
                continue
            finally:
                progress.advance()
            write_file(out / f"{path.stem}.png", draw_maps(scene, maps, queries=queries))
            num_placed += write_map_tif(out / f"{path.stem}.tif", scene, maps=maps, queries=queries)
    tell_faults(faults, num_images=len(paths))
    num_drawn = len(paths) - len(faults)
    say(f"{len(paths)} images, {len(queries)} queries: {num_drawn} figures and {num_placed} GeoTIFFs in {out}.")


def main() -> None:
    """Parses the command line and runs."""
    run(build_parser().parse_args())


if __name__ == "__main__":
    sys.exit(command(main)())
