"""What the upstream commands' lines have in common."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.predict.inputs import OPTICAL
from ms_clip.checkpoints.downloads import RELEASED

if TYPE_CHECKING:  # --help needs no torch
    from ms_clip.upstream.embedding import Reading
    from ms_clip.upstream.models import Loaded

WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def truth(text: str) -> bool:
    """True or False, as a word. Raises ArgumentTypeError for another."""
    if text.lower() not in WORDS:
        raise argparse.ArgumentTypeError(f"{text!r}: expected True or False")
    return WORDS[text.lower()]


def _of_images(text: str) -> str:
    """Without the input's name, which commands of several inputs want before it and messages of the readers therefore have."""
    return text.removeprefix(f"{OPTICAL}=")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Which model embeds image files, and how they are read."""
    parser.add_argument("--model-name", default=RELEASED, metavar="NAME", help="or an OpenCLIP id, or the folder of a model")
    parser.add_argument("--pretrained", type=truth, default=True, metavar="True|False", help="False = random weights (default: True)")
    parser.add_argument("--ckpt-path", type=Path, metavar="PATH", help="weights: a folder, or a .pt file")
    parser.add_argument("--tokenizer", type=Path, metavar="PATH", help="CLIP's tokenizer, where none lies beside the weights")
    parser.add_argument(
        "--sensor", type=_of_images, metavar="NAME", help="what the files are, e.g. sentinel2_l2a_pb0400 (default: told from each file)"
    )
    layers = "the files' layers in order, where they hold others than the sensor's own and do not name them; - leaves one out"
    parser.add_argument("--bands", type=_of_images, default="", metavar="NAME,NAME", help=layers)
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="images at a time (default: %(default)s)")
    skipped = "leave out files that cannot be read or do not fit the model, and name them; else the first one ends the command"
    parser.add_argument("--skip-broken", action="store_true", help=skipped)
    parser.add_argument("--device", help="as torch names it (default: the GPU if there is one)")


def load_named(arguments: argparse.Namespace) -> "Loaded":
    """The model of the arguments of `add_model`. Raises as `build_model`."""
    from ms_clip.upstream.models import build_model

    options = {} if arguments.tokenizer is None else {"tokenizer": arguments.tokenizer}
    return build_model(arguments.model_name, arguments.pretrained, ckpt_path=arguments.ckpt_path, device=arguments.device, **options)


def reading_of(arguments: argparse.Namespace) -> "Reading":
    """How the arguments of `add_model` have files read. Raises ConfigError where the batch size is below 1."""
    from ms_clip.upstream.embedding import Reading

    return Reading(sensor=arguments.sensor, bands=bands_of(arguments), batch_size=arguments.batch_size, skip_broken=arguments.skip_broken)


def bands_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Names of the files' layers, () where they are not given."""
    return tuple(name.strip() for name in arguments.bands.split(",") if name.strip())
