"""Maps a whole scene: rasters and polygons of what prompts name. The same command goes on where one was stopped.

Writes classes.tif and values.tif (cloud-optimised GeoTIFFs), polygons and map.json; windows/ keeps the scores of windows.
"""

import argparse
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command, say
from eocore.commands.arguments import add_engine, executor_of, positive
from eocore.commands.predict import add_image_options, files_said, image_files

if TYPE_CHECKING:
    from eocore.data.records import ImageRef
    from eocore.jobs.work import Executor
    from eocore.predict.items import Item
    from eocore.scenes.answers import AnswersRequest
    from eocore.scenes.many import SourceOf
    from eocore.scenes.maps import MapRequest
    from eocore.scenes.source import SceneSource

EPILOG = """A model that draws masks or scores pixels maps each prompt by itself; one that scores or embeds whole images gives every window
its best prompt. Images of several sensors lie on one pixel grid, or are put on one (--grid)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.epilog = EPILOG
    parser.add_argument("model", type=Path, help="folder of a converted model")
    add_image_options(parser)
    before = (
        "images of an earlier date, for a model that reads series; those of --optical, --sar and so on are then the later ones. With "
        "--inputs: the earlier scenes, in the same forms, joined with the later ones by their ids"
    )
    parser.add_argument("--before", nargs="+", action="extend", default=[], metavar="[INPUT=]FILE", help=before)
    many = (
        "instead: scenes, each mapped in DIR/ID: folders, files, lists (.txt), STAC items, tables (image or one column an input, id; of "
        "pairs also before, before_sar and so on)"
    )
    parser.add_argument("--inputs", nargs="+", action="extend", default=[], metavar="[INPUT=]PATH", help=many)
    remote = "read GeoTIFFs on web servers too, where images, lists or STAC items name addresses (default: they are refused)"
    parser.add_argument("--allow-remote", action="store_true", help=remote)
    parser.add_argument("--prompt", nargs="+", action="extend", default=[], metavar="TEXT", help="what to map, a class each")
    parser.add_argument("--ask", metavar="TEXT", help="instead of --prompt: a question about each window, answered as a vector layer")
    parser.add_argument("--max-new-tokens", type=positive, default=64, metavar="N", help="longest answer to --ask (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    area = "GeoJSON of the area to map, in longitude and latitude unless it names another CRS (default: the whole scene)"
    parser.add_argument("--area", type=Path, metavar="FILE", help=area)
    grid = "pixels that all images are put on: a role, whose image's pixels are taken, or e.g. EPSG:32633,10 (default: those they share)"
    parser.add_argument("--grid", metavar="ROLE|CRS,SIZE", help=grid)
    clouds = "leave out clouds and their shadows, by the layer of the product, or by one that is named (default: they are mapped, too)"
    parser.add_argument("--clouds", nargs="?", const="auto", metavar="scl=FILE|qa_pixel=FILE", help=clouds)
    windows = parser.add_argument_group("windows")
    windows.add_argument("--side", type=positive, metavar="PX", help="of a window (default: what the model sees best)")
    windows.add_argument("--overlap", type=int, metavar="PX", help="that neighbours share (default: a quarter of the side)")
    windows.add_argument("--batch-size", type=positive, default=8, metavar="N", help="windows scored together (default: %(default)s)")
    add_engine(windows)
    unreadable = "windows that cannot be read: stop, or mark them as without data (default: %(default)s)"
    windows.add_argument("--unreadable", choices=("stop", "mark"), default="stop", help=unreadable)
    maps = parser.add_argument_group("maps")
    threshold = "probability, or score of a model of relative scores, from which on a pixel is of a class (default: 0.5; none for scores)"
    maps.add_argument("--threshold", type=float, metavar="P", help=threshold)
    maps.add_argument("--format", nargs="*", default=["gpkg"], metavar="NAME", help="of polygons: gpkg, geojson, parquet (default: gpkg)")
    maps.add_argument("--min-area", type=float, default=0.0, metavar="PX", help="pixels of the smallest polygon (default: %(default)g)")
    maps.add_argument("--simplify", type=float, default=1.0, metavar="PX", help="details taken off outlines (default: %(default)g)")
    parser.add_argument("--device", help="as torch names it (default: the GPU if there is one)")
    parser.add_argument("--overwrite", action="store_true", help="throw away what another request has left in DIR")


def run(arguments: argparse.Namespace) -> int:
    """Maps or asks, and names the files; of many scenes it returns 1 where one has no map."""
    from eocore.errors import ConfigError

    if bool(arguments.prompt) == bool(arguments.ask):
        raise ConfigError("give --prompt with what to map, or --ask with a question about each window: one of them.")
    executor = executor_of(arguments)
    if arguments.inputs:
        return _many(arguments, executor)
    source = _source_of(arguments)(_refs(arguments), layers={})
    if arguments.ask:
        return _ask(_question(arguments, source, executor=executor))
    return _map(_request(arguments, source, executor=executor))


def _refs(arguments: argparse.Namespace) -> "dict[str, ImageRef]":
    """The images that are named one by one."""
    from eocore.errors import ConfigError
    from eocore.predict.image_files import ImageFile, image_refs
    from eocore.predict.inputs import INPUTS, OPTICAL
    from eocore.scenes.cutting import as_pair
    from eocore.text import did_you_mean

    files = image_files(arguments)
    if not files:
        raise ConfigError("no image is given to map. Name one with --optical, --sar or --image ROLE=FILE, or many with --inputs.")
    refs = image_refs({name: replace(file, remote=arguments.allow_remote) for name, file in files.items()})
    if not arguments.before:
        return refs
    earlier: dict[str, ImageFile] = {}
    for word in arguments.before:
        name, equals, path = word.partition("=")
        if not equals or os.path.exists(word) or "://" in name:
            name, path = OPTICAL, word
        elif name not in INPUTS or not path:
            raise ConfigError(f"--before {word}: expected [INPUT=]FILE, with INPUT one of {', '.join(INPUTS)}.{did_you_mean(name, INPUTS)}")
        if name in earlier:
            raise ConfigError(f"--before {word}: another {name} image is given ({earlier[name].paths[0]}). Give one of each input.")
        earlier[name] = replace(files.get(name, ImageFile(())), paths=(path,), remote=arguments.allow_remote)
    return as_pair(image_refs(earlier), refs)


def _source_of(arguments: argparse.Namespace) -> "SourceOf":
    from eocore.scenes.cutting import scene_source

    return partial(scene_source, area=arguments.area, grid=arguments.grid, clouds=arguments.clouds)


def _request(arguments: argparse.Namespace, source: "SceneSource", *, executor: "Executor") -> "MapRequest":
    from eocore.scenes.mapping import MapOptions
    from eocore.scenes.maps import MapRequest
    from eocore.scenes.polygons import PolygonOptions

    windows = MapOptions(
        model=arguments.model,
        source=source,
        prompts=tuple(arguments.prompt),
        batch_size=arguments.batch_size,
        device=arguments.device,
    )
    return MapRequest(
        windows=windows,
        out=arguments.out,
        side=arguments.side,
        overlap=arguments.overlap,
        threshold=arguments.threshold,
        polygons=PolygonOptions(min_area_px=arguments.min_area, simplify_px=arguments.simplify),
        formats=tuple(arguments.format),
        unreadable=arguments.unreadable,
        executor=executor,
        overwrite=arguments.overwrite,
    )


def _map(request: "MapRequest") -> int:
    from eocore.scenes.maps import make_maps

    result = make_maps(request)
    seen = sum(result.summary["pixels"].values())
    for name, count in result.summary["pixels"].items():
        say(f"  {100 * count / seen:6.2f} %  {name}")
    for file in result.files:
        say(f"  {file}")
    return 0


def _many(arguments: argparse.Namespace, executor: "Executor") -> int:
    from eocore.scenes.many import ask_many, map_many
    from eocore.scenes.source import SceneSource

    items = _items(arguments)
    nothing, source_of = SceneSource({}), _source_of(arguments)
    if arguments.ask:
        answered = ask_many(items, _question(arguments, nothing, executor=executor), source_of=source_of)
        return _say_many(arguments.out, made=answered.made, failed=answered.failed)
    mapped = map_many(items, _request(arguments, nothing, executor=executor), source_of=source_of)
    return _say_many(arguments.out, made=mapped.made, failed=mapped.failed)


def _items(arguments: argparse.Namespace) -> "list[Item]":
    """The scenes of --inputs, as pairs where they are some."""
    from eocore.errors import ConfigError
    from eocore.log import get_logger
    from eocore.predict.inputs import INPUTS
    from eocore.predict.items import find_items
    from eocore.scenes.many import with_earlier

    single = [name for name in (*INPUTS, "image") if getattr(arguments, name)]
    if single:
        raise ConfigError(f"--inputs names all scenes; --{single[0]} is of one scene. Leave one of them out.")
    said = {name: replace(file, remote=arguments.allow_remote) for name, file in files_said(arguments, INPUTS).items()}
    items = find_items(arguments.inputs, options=said, pairs=True)
    if arguments.before:
        if any(item.before for item in items):
            raise ConfigError("--before names earlier scenes, and so does the table of --inputs (column before). Leave one of them out.")
        items = with_earlier(items, find_items(arguments.before, options=said))
    if arguments.prompt and any(item.text for item in items):
        get_logger().warning("the column text of the table is not read: --prompt names what is mapped of all scenes")
    return items


def _say_many(out: Path, *, made: Iterable[str], failed: Mapping[str, str]) -> int:
    folders = [out / name for name in made]
    for folder in folders:
        say(f"  {folder}")
    say(f"  {len(folders)} of {len(folders) + len(failed)} scenes done")
    for name, reason in failed.items():
        say(f"  {name}: {reason}")
    return 1 if failed else 0


def _question(arguments: argparse.Namespace, source: "SceneSource", *, executor: "Executor") -> "AnswersRequest":
    from eocore.scenes.answers import SIDE, AnswersRequest
    from eocore.scenes.asking import AskOptions

    asking = AskOptions(
        model=arguments.model,
        source=source,
        question=arguments.ask,
        max_new_tokens=arguments.max_new_tokens,
        batch_size=arguments.batch_size,
        device=arguments.device,
    )
    return AnswersRequest(
        asking=asking,
        out=arguments.out,
        side=arguments.side or SIDE,
        formats=tuple(arguments.format),
        unreadable=arguments.unreadable,
        executor=executor,
        overwrite=arguments.overwrite,
    )


def _ask(request: "AnswersRequest") -> int:
    from eocore.scenes.answers import ask_scene

    files, report = ask_scene(request)
    say(f"  {report.num_done} of {report.num_items} windows answered")
    for file in files:
        say(f"  {file}")
    return 0


COMMAND = Command(name="map-scene", description=__doc__, add_arguments=add_arguments, run=run)
