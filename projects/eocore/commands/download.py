"""Fetches upstream weights into pretrained/ and data sets into data/ from the Hugging Face hub or Zenodo; calls cut short are resumed."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command, say

if TYPE_CHECKING:
    from eocore.hub_files import HubFiles, ZenodoFiles

ROOTS = {"model": Path("pretrained"), "dataset": Path("data")}
"""Kind of a repository -> where its files go."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    known = known_downloads()
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, describe_downloads(known)
    parser.add_argument("names", nargs="+", choices=tuple(known), metavar="NAME", help="what to fetch, see below")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to (default: pretrained for weights, data for data sets)")
    parser.add_argument("--revision", default="main", help="branch, tag or commit (default: main)")
    parser.add_argument("--endpoint", metavar="URL", help="address of the hub (default: HF_ENDPOINT, or the public one)")
    parser.add_argument("--dry-run", action="store_true", help="list the files and their sizes, and fetch nothing")


def known_downloads() -> "dict[str, HubFiles | ZenodoFiles]":
    """Name -> files, of every installed system."""
    from eocore.system import find_systems

    return {name: files for system in find_systems() if system.downloads for name, files in system.downloads().items()}


def describe_downloads(known: "Mapping[str, HubFiles | ZenodoFiles]") -> str:
    """Names, repositories and licences, for --help."""
    lines = [f"  {name:<26} {files.repository:<32} {files.licence}" for name, files in known.items()]
    return "\n".join(["names:", *lines, "", "HF_ENDPOINT names a mirror, HF_HUB_OFFLINE=1 forbids the network."])


def show_files(name: str, wanted: "HubFiles", *, arguments: argparse.Namespace) -> None:
    """Prints what would be fetched and what is there already."""
    from eocore.files import format_size
    from eocore.hub import list_files

    target = root_of(wanted, arguments) / wanted.folder
    listing = list_files(wanted, revision=arguments.revision, endpoint=arguments.endpoint)
    say(f"{name}: {wanted.repository} at {listing.commit[:12]}, {len(listing.files)} files, {format_size(listing.size)} -> {target}")
    for file in listing.files:
        size = "?" if file.size is None else format_size(file.size)
        say(f"  {size:>10}  {file.name}{'  (there)' if (target / file.name).is_file() else ''}")


def root_of(wanted: "HubFiles", arguments: argparse.Namespace) -> Path:
    """The folder that the files of a download go below."""
    return ROOTS[wanted.kind] if arguments.out is None else arguments.out


def run(arguments: argparse.Namespace) -> None:
    """Fetches, or lists with --dry-run."""
    from eocore.hub import download
    from eocore.hub_files import ZenodoFiles

    known = known_downloads()
    for name in arguments.names:
        wanted = known[name]
        if isinstance(wanted, ZenodoFiles):
            fetch_record(name, wanted, arguments=arguments)
            continue
        if arguments.dry_run:
            show_files(name, wanted, arguments=arguments)
            continue
        folder = download(wanted, root_of(wanted, arguments), revision=arguments.revision, endpoint=arguments.endpoint)
        say(f"{name}: in {folder}, checksums as the hub states them. Next:\n  {wanted.command}")


def fetch_record(name: str, wanted: "ZenodoFiles", *, arguments: argparse.Namespace) -> None:
    """Fetches a record of Zenodo and unpacks it, or lists its files with --dry-run."""
    from eocore.files import format_size
    from eocore.zenodo import ZENODO, download_record, list_record

    root, address = ROOTS["dataset"] if arguments.out is None else arguments.out, arguments.endpoint or ZENODO
    if arguments.dry_run:
        files = list_record(wanted, endpoint=address)
        say(f"{name}: {wanted.repository}, {len(files)} files, {format_size(sum(file.size for file in files))} -> {root / wanted.folder}")
        for file in files:
            say(f"  {format_size(file.size):>10}  {file.name}")
        return
    folder = download_record(wanted, root, endpoint=address)
    say(f"{name}: in {folder}, checksums as the record states them, zip files unpacked. Next:\n  {wanted.command}")


COMMAND = Command(name="download", description=__doc__, add_arguments=add_arguments, run=run)
