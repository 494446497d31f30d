"""Speed and memory, each beside what it is measured against: python tools/benchmark.py ratios --only G1,G2"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from eocore.benchmark.ratios import Effort, build_ratio, load_ratios
from eocore.benchmark.report import draw_ratios, ratio_table, ratios_as_json, write_json
from eocore.errors import ConfigError, EOError
from eocore.progress import Progress

SYSTEM = "earthmind"
MIN_WIDTH = 150
"""Characters of a table where the output is no terminal."""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    ratios = commands.add_parser("ratios", help="what is wasted against what is needed, side by side")
    ratios.add_argument("--only", type=names, default=[], metavar="ID,ID", help="these alone (default: all)")
    ratios.add_argument("--repeats", type=int, default=5, metavar="N", help="timed calls of each side; the fastest counts (default: 5)")
    for command in (ratios,):
        command.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
        command.add_argument("--plot", type=Path, metavar="FILE", help="draw them here (PNG)")
    return parser.parse_args()


def names(text: str) -> list[str]:
    """Parts of a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def run_ratios(arguments: argparse.Namespace) -> None:
    """Measures the ratios asked for, and tells each as soon as it is known."""
    known = load_ratios(SYSTEM)
    unknown = [name for name in arguments.only if name not in known]
    if unknown:
        raise ConfigError(f"no ratio {', '.join(unknown)}. Choices: {', '.join(known)}.")
    wanted, found = arguments.only or known, {}
    with Progress("ratios", total=len(wanted), unit="ratios") as progress:
        for name in wanted:
            ratio = build_ratio(SYSTEM, {"type": name})
            found[name] = (ratio.what, ratio.measure(Effort(repeats=arguments.repeats)))
            progress.advance()
    show(ratio_table(found))
    if arguments.json:
        write_json(arguments.json, ratios_as_json(found))
    if arguments.plot:
        draw_ratios(arguments.plot, found)


def show(table: object) -> None:
    """Prints a table, wide enough where nobody's terminal limits it."""
    console = Console()
    (console if console.is_terminal else Console(width=MIN_WIDTH)).print(table)


COMMANDS = {"ratios": run_ratios}


def main() -> int:
    """Runs the command; gives the exit status."""
    arguments = parse_arguments()
    try:
        COMMANDS[arguments.command](arguments)
    except EOError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
