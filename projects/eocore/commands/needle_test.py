"""Hides a needle in a long input and asks a converted model for it: accuracy by length, depth and ratio, with controls beside.

A sign in one of many tiles, or on one of many dates (--of dates); or pictures of one's own between the frames of a video (--questions).
Writes report.html (heat maps, memory and time against length) and cells.jsonl.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command, say
from eocore.commands.arguments import not_negative, positive
from eocore.errors import ConfigError

if TYPE_CHECKING:
    from eocore.long_inputs.haystacks import Haystack

METHODS = ("compress", "pool", "drop", "choose")
UNITS = ("tiles", "dates")
SAMPLES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("model", type=Path, help="folder of a converted model")
    parser.add_argument("--of", choices=UNITS, help="where a sign is hidden: tiles of an image, or dates of a series (default: tiles)")
    lengths = "tiles, dates or frames (default: 4,8,16,32)"
    parser.add_argument("--lengths", type=whole_numbers, default=[4, 8, 16, 32], metavar="N,N", help=lengths)
    parser.add_argument(
        "--depths", type=fractions, default=[0, 0.25, 0.5, 0.75, 1], metavar="D,D", help="0 is the first of them, 1 the last"
    )
    parser.add_argument("--ratios", type=whole_numbers, default=[1, 2, 4, 8], metavar="R,R", help="default: 1,2,4,8; 1 is all tokens")
    what = "compress, and beside it controls: pool, drop, choose (default: compress pool drop, as far as the model can)"
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="NAME", help=what)
    parser.add_argument("--ask", choices=("colour", "shape"), help="what of the sign is asked for (default: colour)")
    parser.add_argument("--samples", type=positive, metavar="N", help=f"signs of each length and depth (default: {SAMPLES})")
    land = (
        "pictures that tiles are cut from, of scenes not trained on (default: the synthetic world's test split); with --questions a video"
    )
    parser.add_argument("--haystack", type=Path, metavar="PATH", help=land)
    own = "folder of needles and questions in the layout of Video-XL's NIAH/datas: needles/ and qa/qa.json (docs/long_inputs.md)"
    parser.add_argument("--questions", type=Path, metavar="FOLDER", help=own)
    parser.add_argument("--out", type=Path, default=Path("work_dirs/needle_test"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--batch-size", type=positive, default=4, metavar="N", help="images asked together (default: %(default)s)")
    parser.add_argument("--seed", type=not_negative, default=0, help="of the images")
    parser.set_defaults(usage_error=parser.error)
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
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers from 0 (the first) to 1 (the last)")
    return found


def run(arguments: argparse.Namespace) -> None:
    """Asks, prints the table of accuracy and names the page; what can be refused is, before weights are read."""
    from eocore.evaluate.protocols import AnswersLong
    from eocore.files import require_writable
    from eocore.long_inputs.needle_report import accuracy_table, write_needle_report
    from eocore.long_inputs.needle_test import NeedleOptions, check_lengths, default_methods, run_needle_test
    from eocore.progress import Progress
    from eocore.system import PredictorOptions, system_of_model

    _check_goes_together(arguments)
    require_writable(arguments.out, "the report")
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
        batch_size=arguments.batch_size,
    )
    haystack = _haystack(arguments, side=predictor.window_side)
    check_lengths(predictor, haystack, options=options)
    count = len(options.lengths) * len(options.depths) * len(options.asked())
    with Progress("needle test", total=count, unit="cells") as progress:
        cells = run_needle_test(predictor, haystack, options=options, on_cell=progress.advance)
    table = accuracy_table(cells, unit=haystack.unit)
    for row in (table.header, *table.rows):
        say("  ".join(f"{text:>26}" for text in row))
    say(f"Report: {write_needle_report(arguments.out, cells, haystack=haystack, model=arguments.model.resolve().name)}")


def _check_goes_together(arguments: argparse.Namespace) -> None:
    """A usage error where options of signs are given for a video, or --questions without one."""
    if arguments.questions is None:
        return
    given = [f"--{name}" for name in ("of", "ask", "samples") if getattr(arguments, name) is not None]
    if given:
        arguments.usage_error(f"--questions brings its own needles: leave {', '.join(given)} out")
    if arguments.haystack is None:
        arguments.usage_error("--questions needs --haystack VIDEO, between whose frames the needles are put")


def _haystack(arguments: argparse.Namespace, *, side: int) -> "Haystack":
    """What hides the needles. Raises DataError and ConfigError where files are missing or wrong."""
    from eocore.long_inputs.haystacks import SignHaystack, VideoHaystack, default_tiles, read_needles, tiles_of_folder

    if arguments.questions is not None:
        return VideoHaystack(arguments.haystack, read_needles(arguments.questions), side=side)
    seed = arguments.seed
    return SignHaystack(
        tiles=default_tiles(seed) if arguments.haystack is None else tiles_of_folder(arguments.haystack, seed=seed),
        unit=arguments.of or UNITS[0],
        samples=arguments.samples or SAMPLES,
        seed=seed,
        asked_for=arguments.ask or "colour",
    )


COMMAND = Command(name="needle-test", description=__doc__, add_arguments=add_arguments, run=run)
