"""Asks a converted model about image files; writes the answer, masks (GeoTIFF where the image has a place) and an overlay."""

import argparse
import sys
from pathlib import Path

from mmengine.config import DictAction

from eocore.command import command
from eocore.errors import ConfigError
from eocore.predict.answers import find_earlier, write_prediction
from eocore.predict.image_files import INPUTS, ImageFile, read_images
from eocore.system import PredictorOptions, system_of_model

EPILOG = """With --optical the sensor is told from the file: 3 bytes a pixel are a picture, 12 bands Sentinel-2 L2A, 13 bands L1C.
Sentinel-2 products of processing baseline 04.00 and later carry an offset that files do not tell: give
--sensor optical=sentinel2_l2a_pb0400."""

GENERATION = "how the answer is generated: fields of transformers' GenerationConfig, compile=true"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG)
    parser.add_argument("model", type=Path, help="folder of a converted model; its Python files are executed")
    parser.add_argument("--optical", nargs="+", metavar="FILE", help="optical image, a picture or multispectral; several files: one a band")
    parser.add_argument("--rgb", nargs="+", metavar="FILE", help="picture")
    parser.add_argument("--multispectral", nargs="+", metavar="FILE", help="multispectral image; several files: one a band")
    parser.add_argument("--sar", nargs="+", metavar="FILE", help="radar image, VV and VH [dB]; several files: one a band")
    parser.add_argument("--text", required=True, help="question or request")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--sensor", nargs="+", default=[], metavar="INPUT=NAME", help="sensor of an input, e.g. sar=sentinel1_rtc_linear")
    parser.add_argument("--bands", nargs="+", default=[], metavar="INPUT=A,B", help="names of an input's layers in order")
    parser.add_argument("--max-new-tokens", type=int, default=256, metavar="N", help="longest answer (default: %(default)s)")
    parser.add_argument("--generation", nargs="+", action=DictAction, default={}, metavar="KEY=VALUE", help=GENERATION)
    parser.add_argument("--device", help="as torch names it (default: the GPU if there is one)")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier prediction in DIR")
    return parser.parse_args()


def by_input(option: str, entries: list[str]) -> dict[str, str]:
    """INPUT=VALUE entries of an option.

    Raises:
        ConfigError: an entry has another form, or names an unknown input.
    """
    values = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals or not value or name not in INPUTS:
            raise ConfigError(f"--{option} {entry}: expected INPUT=VALUE, with INPUT one of {', '.join(INPUTS)}.")
        values[name] = value
    return values


def image_files(arguments: argparse.Namespace) -> dict[str, ImageFile]:
    """The images of the command line.

    Raises:
        ConfigError: a sensor or bands are given for an image that is not.
    """
    given = {name: paths for name in INPUTS if (paths := getattr(arguments, name))}
    sensors, bands = by_input("sensor", arguments.sensor), by_input("bands", arguments.bands)
    for option, values in (("sensor", sensors), ("bands", bands)):
        for name in values:
            if name not in given:
                raise ConfigError(f"--{option} {name}=...: no --{name} image is given. Inputs given: {', '.join(given) or 'none'}.")
    return {
        name: ImageFile(tuple(paths), sensors.get(name), tuple(bands[name].split(",")) if name in bands else ())
        for name, paths in given.items()
    }


@command
def main() -> None:
    """Runs the command; gives the exit status."""
    arguments = parse_arguments()
    find_earlier(arguments.out, overwrite=arguments.overwrite)
    scenes = read_images(image_files(arguments))
    system = system_of_model(arguments.model)
    make = system.need(system.predictor, "its models cannot answer")
    options = PredictorOptions(device=arguments.device, float32_on_cpu=True, generation=arguments.generation)
    prediction = make(arguments.model, options).predict(scenes, arguments.text, max_new_tokens=arguments.max_new_tokens)
    files = write_prediction(prediction, arguments.out, overwrite=arguments.overwrite)
    print(prediction.text or "(the model's answer is empty)")
    for file in files:
        print(f"  {file}")


if __name__ == "__main__":
    sys.exit(main())
