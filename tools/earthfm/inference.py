"""Upstream's inference command with its flags: one question about one image, answered by a converted model."""

import argparse
import sys
from pathlib import Path

from eocore.command import command, say
from eocore.errors import ConfigError

PROMPT = "Describe what you see in this satellite image in detail."
"""Upstream's default."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model_path", type=Path, required=True, metavar="DIR", help="converted model")
    parser.add_argument("--image_path", required=True, metavar="FILE", help="GeoTIFF of Sentinel-2, or a picture with --fill-missing")
    parser.add_argument("--sensor", default="", metavar="NAME", help="of the file (default: sentinel2_l2a, of a picture rgb_uint8)")
    parser.add_argument("--prompt", default=PROMPT, metavar="TEXT", help="question (default: '%(default)s')")
    parser.add_argument("--max_length", type=int, default=512, metavar="N", help="most tokens of the answer (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=0.7, metavar="T", help="0 takes the likeliest token (default: %(default)s)")
    parser.add_argument("--top_p", type=float, default=0.9, metavar="P", help="(default: %(default)s; upstream ignores it)")
    parser.add_argument("--top_k", type=int, default=50, metavar="K", help="(default: %(default)s)")
    parser.add_argument("--device", metavar="DEVICE", help="cpu or cuda (default: what is there)")
    parser.add_argument("--fill-missing", action="store_true", help="take pictures of three colours; nine of twelve bands are made up")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Prints the answer. Raises ConfigError where a number is out of range."""
    from dataclasses import replace

    from earthfm.model.image_preparation import ImagePreparer
    from earthfm.predictor import EarthFmPredictor
    from eocore.data.io.readers import read_scene
    from eocore.data.records import ImageRef
    from eocore.system import PredictorOptions

    if arguments.temperature < 0 or arguments.max_length < 1:
        raise ConfigError("--temperature is 0 or more and --max_length 1 or more.")
    sampled = {"do_sample": True, "temperature": arguments.temperature, "top_p": arguments.top_p, "top_k": arguments.top_k}
    options = PredictorOptions(
        device=arguments.device, float32_on_cpu=True, generation=sampled if arguments.temperature > 0 else {"do_sample": False}
    )
    predictor = EarthFmPredictor(arguments.model_path, options)
    if arguments.fill_missing:
        predictor.processor.images = ImagePreparer(replace(predictor.processor.options, fill_missing=True))
    picture = Path(arguments.image_path).suffix.lower() not in (".tif", ".tiff")
    role, sensor = ("rgb", "rgb_uint8") if picture else ("multispectral", "sentinel2_l2a")
    scene = read_scene(ImageRef(role, arguments.sensor or sensor, (str(Path(arguments.image_path).resolve()),)))
    say(predictor.predict({role: scene}, arguments.prompt, max_new_tokens=arguments.max_length).text)


def main() -> None:
    """Parses the command line and runs."""
    run(build_parser().parse_args())


if __name__ == "__main__":
    sys.exit(command(main)())
