"""Upstream's inference command with its flags and tables: zero-shot classification of images, or retrieval by texts or by images."""

import argparse
import sys

from eocore.command import command, say
from eocore.errors import ConfigError
from ms_clip.upstream.arguments import add_model, load_named, reading_of


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser)
    parser.add_argument("--images", default="./examples", metavar="DIR|FILE", help="folder, .txt, or .yaml with a list `images`")
    parser.add_argument("--save-path", metavar="FILE", help="also write the table as CSV (.csv is added)")
    parser.add_argument("--run-classification", action="store_true", help="classify every image")
    parser.add_argument("--class-names", nargs="+", default=[], action="extend", metavar="NAME", help="classes to choose among")
    parser.add_argument("--classes-file", metavar="FILE", help=".txt, or .yaml with a list `classes`")
    parser.add_argument("--templates", default="msclip", metavar="NAME", help="prompts: msclip, clip or rs5m (default: %(default)s)")
    parser.add_argument("--run-retrieval", "--run_retrieval", action="store_true", help="find the images of each query")
    parser.add_argument("--query", nargs="+", default=[], action="extend", metavar="TEXT", help="what to look for")
    parser.add_argument("--queries-file", metavar="FILE", help=".txt, or .yaml with a list `queries`")
    parser.add_argument("--query-images", metavar="DIR|FILE", help="look for images like these: as --images; instead of --query")
    parser.add_argument("--top-k", type=int, default=5, metavar="K", help="images of each query (default: %(default)s)")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Prints the table, and writes it where that is asked for.

    Raises:
        ConfigError: no mode or both, or lists that are missing or doubled; before the model is loaded.
    """
    if arguments.run_classification == arguments.run_retrieval:
        found = "both are" if arguments.run_retrieval else "neither is"
        raise ConfigError(f"--run-classification or --run-retrieval: {found} given. Choose one; run the other afterwards.")
    from tabulate import tabulate

    from eocore.files import write_file
    from ms_clip.upstream.inference import check_top_k, classify_images, retrieve_images, retrieve_similar_images
    from ms_clip.upstream.lists import image_paths, table_path
    from ms_clip.upstream.templates import find_templates

    classify = arguments.run_classification
    by_image = not classify and arguments.query_images is not None
    if arguments.query_images is not None and (classify or arguments.query or arguments.queries_file):
        raise ConfigError("--query-images goes with --run-retrieval alone, without --query and --queries-file. Run the other afterwards.")
    wanted = [] if by_image else _wanted(arguments)
    asked = image_paths(arguments.query_images) if by_image else []
    find_templates(arguments.templates)
    check_top_k(arguments.top_k)
    images, reading = image_paths(arguments.images), reading_of(arguments)
    loaded = load_named(arguments)
    if classify:
        table = classify_images(loaded, images, class_names=wanted, templates=arguments.templates, reading=reading)
        say(tabulate(table, headers="keys", tablefmt="fancy_grid", showindex=False))
    elif by_image:
        table = retrieve_similar_images(loaded, images, query_images=asked, top_k=arguments.top_k, reading=reading)
    else:
        table = retrieve_images(loaded, images, queries=wanted, top_k=arguments.top_k, reading=reading)
    if not classify:
        say(table.to_string())
    if arguments.save_path is not None:
        out = table_path(arguments.save_path)
        write_file(out, table.to_csv(index=not classify))
        say(f"Written to {out}.")


def _wanted(arguments: argparse.Namespace) -> list[str]:
    """Classes or queries. Raises as `choose_list`."""
    from ms_clip.upstream.lists import choose_list

    if arguments.run_classification:
        options = ("--class-names", "--classes-file")
        return choose_list(arguments.class_names, arguments.classes_file, key="classes", options=options)
    return choose_list(arguments.query, arguments.queries_file, key="queries", options=("--query", "--queries-file"))


def main() -> None:
    """Parses the command line and runs."""
    run(build_parser().parse_args())


if __name__ == "__main__":
    sys.exit(command(main)())
