"""The arguments that say how predictions files are read and scored; those of `score` and `compare`."""

import argparse
from pathlib import Path

from eocore.evaluate.external.field_names import ALIASES, NONE
from eocore.evaluate.scoring.parsing.reading_options import MODES, ORDERS, PIXELS
from eocore.evaluate.settings import SETTINGS
from eocore.evaluate.tasks import BOX_TASKS, scored_tasks

FIELDS = f"""Fields go by many names ({", ".join(ALIASES["prediction"][:4])}, ... for the
prediction); --map NAME=FIELD says which is which where that fails, for NAME one of {", ".join(ALIASES)};
FIELD '{NONE}' means not to read one."""


def add_file_arguments(parser: argparse.ArgumentParser) -> None:
    """How predictions files are read and scored."""
    asked = f"what is asked: {', '.join(scored_tasks())}, or a system's own; our own files say it themselves: of those only this is scored"
    parser.add_argument("--task", metavar="NAME", help=asked)
    parser.add_argument("--benchmark", metavar="NAME", help="takes task, classes, scorer and number of samples from a published benchmark")
    parser.add_argument("--map", nargs="+", action="extend", default=[], metavar="NAME=FIELD", help="names of the file's fields, see above")
    parser.add_argument("--labels", metavar="LIST", help="classes or options: a file (one a line, or JSON list), or 'a;b;c'")
    parser.add_argument("--annotations", type=Path, metavar="FILE", help="truths by sample id; what the predictions lack counts as missing")
    parser.add_argument("--expect", type=int, metavar="N", help="number of samples there must be")
    parser.add_argument("--sensor", default="optical", metavar="NAME", help=f"setting of an external file: {SETTINGS}, or a system's own")
    parser.add_argument("--metric", metavar="TYPE", help="entry of METRICS to score by, with its options as NAME=VALUE in --metric-options")
    parser.add_argument(
        "--metric-options", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="VALUE is JSON, or a plain word"
    )
    add_reading_arguments(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")


READING_OPTIONS = {
    "reading": ("mcq", "multilabel"),
    "several": ("mcq",),
    "index_base": ("mcq",),
    "prediction_scale": BOX_TASKS,
    "truth_scale": BOX_TASKS,
    "order": BOX_TASKS,
}
"""Option of a scorer -> tasks whose default scorer has it."""


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """How answers are read."""
    group = parser.add_argument_group("reading of answers", "docs/scoring.md has the rules")
    strict = "choices: strict takes stated letters and option texts alone, lenient (the default) also what a sentence names"
    group.add_argument("--reading", choices=MODES, help=strict)
    group.add_argument("--several", action="store_true", default=None, help="choices: every question allows several options")
    group.add_argument("--index-base", type=int, choices=(0, 1), help="choices: annotated answers are numbers; that of the first option")
    scale = "boxes: 1, 100, 1000 (what the far edge of an image is called) or pixels; told by the range of all"
    group.add_argument("--prediction-scale", type=_scale, metavar="SCALE", help=f"{scale} answers where not given")
    group.add_argument("--truth-scale", type=_scale, metavar="SCALE", help=f"{scale} annotations where not given")
    group.add_argument("--box-order", dest="order", choices=ORDERS, help="boxes: order of the four numbers of an answer")


def _scale(text: str) -> float:
    """A scale of the command line."""
    if text == "pixels":
        return PIXELS
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected 1, 100, 1000, another number, or pixels; found {text!r}") from None
