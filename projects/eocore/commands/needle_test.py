"""Hides a sign in one of many tiles and asks a converted model for it: accuracy by length, depth and ratio, with controls beside.

Writes report.html (heat maps, memory and time against length) and cells.jsonl.
"""

import argparse
from pathlib import Path

from eocore.command import Command, say
from eocore.commands.arguments import not_negative, positive
from eocore.errors import ConfigError

METHODS = ("compress", "pool", "drop", "choose")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("model", type=Path, help="folder of a converted model")
    parser.add_argument("--lengths", type=whole_numbers, default=[4, 8, 16, 32], metavar="N,N", help="tiles (default: 4,8,16,32)")
    parser.add_argument("--depths", type=fractions, default=[0, 0.25, 0.5, 0.75, 1], metavar="D,D", help="0 is the first tile, 1 the last")
    parser.add_argument("--ratios", type=whole_numbers, default=[1, 2, 4, 8], metavar="R,R", help="default: 1,2,4,8; 1 is all tokens")
    what = "compress, and beside it controls: pool, drop, choose (default: compress pool drop, as far as the model can)"
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="NAME", help=what)
    parser.add_argument("--ask", choices=("colour", "shape"), default="colour", help="what of the sign is asked for (default: %(default)s)")
    parser.add_argument("--samples", type=positive, default=20, metavar="N", help="images of each length and depth (default: %(default)s)")
    land = "pictures that tiles are cut from, of scenes not trained on (default: the synthetic world's test split)"
    parser.add_argument("--haystack", type=Path, metavar="FOLDER", help=land)
    parser.add_argument("--out", type=Path, default=Path("work_dirs/needle_test"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--batch-size", type=positive, default=4, metavar="N", help="images asked together (default: %(default)s)")
    parser.add_argument("--seed", type=not_negative, default=0, help="of the images")
    parser.add_argument("--device", help="as torch names it (default: the GPU if there is one)")


def whole_numbers(text: str) -> list[int]:
    """Numbers of at least 1, with commas. Raises ArgumentTypeError for anything else."""
    return [positive(part) for part in text.split(",")]


def fractions(text: str) -> list[float]:
    """Numbers from 0 to 1, with commas. Raises ArgumentTypeError for anything else."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers from 0 to 1, with commas") from error
    if not all(0 <= number <= 1 for number in found):
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers from 0 (the first tile) to 1 (the last)")
    return found


def run(arguments: argparse.Namespace) -> None:
    """Asks, prints the table of accuracy and names the page."""
    from eocore.evaluate.protocols import AnswersLong
    from eocore.long_inputs.needle_report import accuracy_table, write_needle_report
    from eocore.long_inputs.needle_test import NeedleOptions, default_methods, default_tiles, run_needle_test, tiles_of_folder
    from eocore.progress import Progress
    from eocore.system import PredictorOptions, system_of_model

    system = system_of_model(arguments.model)
    make = system.need(system.predictor, "its models cannot answer")
    predictor = make(arguments.model, PredictorOptions(device=arguments.device, float32_on_cpu=True))
    if not isinstance(predictor, AnswersLong):
        raise ConfigError(f"models of system '{system.name}' read a fixed number of tokens of an image, so there is no length to test.")
    options = NeedleOptions(
        lengths=arguments.lengths,
        depths=arguments.depths,
        ratios=arguments.ratios,
        methods=arguments.methods or default_methods(predictor.can_compress),
        samples=arguments.samples,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        asked_for=arguments.ask,
    )
    seed = arguments.seed
    tiles = default_tiles(seed) if arguments.haystack is None else tiles_of_folder(arguments.haystack, seed=seed)
    count = len(options.lengths) * len(options.depths) * len(options.asked())
    with Progress("needle test", total=count, unit="cells") as progress:
        cells = run_needle_test(predictor, tiles, options=options, on_cell=progress.advance)
    table = accuracy_table(cells)
    for row in (table.header, *table.rows):
        say("  ".join(f"{text:>26}" for text in row))
    say(f"Report: {write_needle_report(arguments.out, cells, options=options, model=arguments.model.resolve().name)}")


COMMAND = Command(name="needle-test", description=__doc__, add_arguments=add_arguments, run=run)
