"""Fetches published weights from the Hugging Face hub into pretrained/; a call that was cut short goes on where it stopped."""

import argparse
import sys
from pathlib import Path

from earthmind.checkpoints.downloads import WEIGHTS
from eocore.command import command
from eocore.hub import download


def describe_weights() -> str:
    """Names, repositories and licences, for --help."""
    lines = [f"  {name:<16} {files.repository:<32} {files.licence}" for name, files in WEIGHTS.items()]
    return "\n".join(["names:", *lines, "", "HF_ENDPOINT names a mirror, HF_HUB_OFFLINE=1 forbids the network."])


@command
def main() -> None:
    """Runs the command; gives the exit status."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, epilog=describe_weights(), formatter_class=form)
    parser.add_argument("names", nargs="+", choices=tuple(WEIGHTS), metavar="NAME", help="what to fetch, see below")
    parser.add_argument("--out", type=Path, default=Path("pretrained"), metavar="DIR", help="where to (default: pretrained)")
    parser.add_argument("--revision", default="main", help="branch, tag or commit (default: main)")
    parser.add_argument("--endpoint", metavar="URL", help="address of the hub (default: HF_ENDPOINT, or the public one)")
    arguments = parser.parse_args()
    for name in arguments.names:
        folder = download(WEIGHTS[name], arguments.out, revision=arguments.revision, endpoint=arguments.endpoint)
        print(f"{name}: in {folder}, checksums as the hub states them. Next:\n  {WEIGHTS[name].command}")


if __name__ == "__main__":
    sys.exit(main())
