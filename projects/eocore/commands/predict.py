"""Asks a converted model about image files; writes the answer, masks (GeoTIFF where the image is georeferenced) and an overlay."""

import argparse
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from eocore.command import Command, say
from eocore.commands.arguments import add_generation
from eocore.errors import ConfigError
from eocore.predict.inputs import INPUTS, OPTICAL

if TYPE_CHECKING:
    from eocore.predict.image_files import ImageFile

EPILOG = """With --optical the sensor is told from the file: 3 bytes a pixel are a picture, 12 bands Sentinel-2 L2A, 13 bands L1C.
Sentinel-2 products of processing baseline 04.00 and later carry an offset that files do not tell: give
--sensor optical=sentinel2_l2a_pb0400. The folder of a product as delivered tells it: --optical S2A_MSIL2A_....SAFE, --sar
S1A_IW_GRDH_....SAFE, --optical LC09_L2SP_..., with --window to read a part: --window 4000,2000,512,512."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.epilog = EPILOG
    parser.set_defaults(usage_error=parser.error)
    parser.add_argument("model", type=Path, help="folder of a converted model; its Python files are executed")
    add_image_options(parser)
    parser.add_argument("--text", help="question or request")
    parser.add_argument(
        "--classes", nargs="+", action="extend", default=[], metavar="NAME", help="instead: class names that the model scores"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--max-new-tokens", type=int, default=256, metavar="N", help="longest answer (default: %(default)s)")
    add_generation(parser)
    parser.add_argument("--device", help="as torch names it (default: the GPU if there is one)")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier prediction in DIR")


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """An option for each input, and for what its file does not tell."""
    several = "several files: one a band; or the folder of a product as delivered"
    parser.add_argument(
        "--optical", nargs="+", action="extend", metavar="FILE", help=f"optical image, a picture or multispectral; {several}"
    )
    parser.add_argument("--rgb", nargs="+", action="extend", metavar="FILE", help="picture")
    parser.add_argument("--multispectral", nargs="+", action="extend", metavar="FILE", help=f"multispectral image; {several}")
    parser.add_argument("--sar", nargs="+", action="extend", metavar="FILE", help=f"radar image, VV and VH [dB]; {several}")
    other = "image of any other role that the model reads; further files: one a band"
    parser.add_argument("--image", nargs="+", action="append", default=[], metavar="ROLE=FILE", help=other)
    parser.add_argument(
        "--sensor", nargs="+", action="extend", default=[], metavar="INPUT=NAME", help="sensor of an input, e.g. sar=sentinel1_rtc_linear"
    )
    parser.add_argument(
        "--bands", nargs="+", action="extend", default=[], metavar="INPUT=A,B", help="names of an input's layers in order; - leaves one out"
    )
    part = "part to read, in pixels: ROW,COL,HEIGHT,WIDTH for all inputs, or INPUT=ROW,COL,HEIGHT,WIDTH"
    parser.add_argument("--window", nargs="+", action="extend", default=[], metavar="WINDOW", help=part)
    parser.add_argument(
        "--gsd", nargs="+", action="extend", default=[], metavar="INPUT=METRES", help="pixel size of a product (default: its finest)"
    )
    parser.add_argument("--remove-noise", action="store_true", help="subtract the thermal noise that a Sentinel-1 product states")
    size = "largest image that is read at once, such as 512MB or 2GB (default: 512MB)"
    parser.add_argument("--max-bytes", type=byte_count, metavar="SIZE", help=size)


def by_role(words: Iterable[str]) -> dict[str, list[str]]:
    """Role -> files of the words of --image; a word without a role is a further file of the role before.

    Raises:
        ConfigError: the first word has another form, or a role is given twice or has an option of its own.
    """
    from eocore.data.records import is_role

    files: dict[str, list[str]] = {}
    for word in words:
        role, equals, path = word.partition("=")
        if not (equals and is_role(role)):
            if not files:
                raise ConfigError(f"--image {word}: expected ROLE=FILE, with ROLE a word such as dem, before or after.")
            files[list(files)[-1]].append(word)
        elif role in INPUTS:
            raise ConfigError(f"--image {word}: the role has an option of its own. Use --{role}.")
        elif not path or role in files:
            raise ConfigError(f"--image {word}: the role has no file, or is named twice. Name each role once, with its files behind it.")
        else:
            files[role] = [path]
    return files


def by_input(option: str, entries: list[str], *, known: Collection[str] = INPUTS) -> dict[str, str]:
    """INPUT=VALUE entries of an option.

    Args:
        option: its name.
        entries: its words.
        known: inputs there are.

    Raises:
        ConfigError: an entry has another form, or names an unknown input.
    """
    values = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals or not value or name not in known:
            raise ConfigError(f"--{option} {entry}: expected INPUT=VALUE, with INPUT one of {', '.join(known)}.")
        values[name] = value
    return values


def byte_count(text: str) -> int:
    """A number of bytes, as 512000000, 512MB or 2GB. Raises ArgumentTypeError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip().upper())
    size = int(float(found[1]) * 1000 ** " KMGT".index(found[2] or " ")) if found else 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of bytes, such as 512MB or 2GB")
    return size


def read_windows(entries: list[str], *, known: Collection[str] = INPUTS) -> dict[str, tuple[int, int, int, int]]:
    """The windows of --window by input; one that names no input is that of all.

    Raises:
        ConfigError: an entry has another form, or there are several for one input.
    """
    windows: dict[str, tuple[int, int, int, int]] = {}
    for entry in entries:
        name, equals, value = entry.rpartition("=")
        numbers = value.split(",")
        if (equals and name not in known) or len(numbers) != 4 or not all(number.strip().isdecimal() for number in numbers):
            raise ConfigError(
                f"--window {entry}: expected ROW,COL,HEIGHT,WIDTH in whole pixels from the upper left corner, or INPUT=these, "
                f"with INPUT one of {', '.join(known)}."
            )
        row, col, height, width = map(int, numbers)
        for key in [name] if equals else known:
            if key in windows:
                raise ConfigError(f"--window {entry}: {key} has a window already. Give one for all inputs, or one for each.")
            windows[key] = (row, col, height, width)
    return windows


def read_sizes(entries: list[str], *, known: Collection[str] = INPUTS) -> dict[str, float]:
    """The pixel sizes of --gsd by input [m]. Raises ConfigError where one is no positive number."""
    sizes = {}
    for name, value in by_input("gsd", entries, known=known).items():
        if not re.fullmatch(r"\d+(\.\d+)?", value) or float(value) <= 0:
            raise ConfigError(f"--gsd {name}={value}: expected a positive number of metres, such as --gsd {name}=20.")
        sizes[name] = float(value)
    return sizes


def image_files(arguments: argparse.Namespace) -> "dict[str, ImageFile]":
    """The images of the command line.

    Raises:
        ConfigError: a sensor or bands are given for an image that is not, or --image has another form.
    """
    from eocore.predict.image_files import ImageFile

    others = by_role(word for words in arguments.image for word in words)
    given = {name: paths for name in INPUTS if (paths := getattr(arguments, name))} | others
    known = (*INPUTS, *others)
    windows, sizes = read_windows(arguments.window, known=known), read_sizes(arguments.gsd, known=known)
    sensors, bands = by_input("sensor", arguments.sensor, known=known), by_input("bands", arguments.bands, known=known)
    own_windows = {entry.rpartition("=")[0] for entry in arguments.window} - {""}
    for option, values in (("sensor", sensors), ("bands", bands), ("gsd", sizes), ("window", own_windows)):
        for name in values:
            if name not in given:
                raise ConfigError(f"--{option} {name}=...: no --{name} image is given. Inputs given: {', '.join(given) or 'none'}.")
    return {
        name: ImageFile(
            tuple(paths),
            sensors.get(name),
            tuple(bands[name].split(",")) if name in bands else (),
            window=windows.get(name),
            gsd_m=sizes.get(name),
            noise_removal=arguments.remove_noise and name == "sar",
        )
        for name, paths in given.items()
    }


def run(arguments: argparse.Namespace) -> None:
    """Asks, writes, and prints the answer and the files."""
    from eocore.predict.answers import find_earlier, write_prediction
    from eocore.predict.asking import Question, ask, check_roles
    from eocore.predict.image_files import read_images
    from eocore.system import PredictorOptions, system_of_model

    if (arguments.text is None) != bool(arguments.classes):
        arguments.usage_error("give --text or --classes, one of them")
    if arguments.text is not None and not arguments.text.strip():
        arguments.usage_error("--text is empty: expected a question or request about the images")
    find_earlier(arguments.out, overwrite=arguments.overwrite)
    files = image_files(arguments)
    system = system_of_model(arguments.model)
    make = system.need(system.predictor, "its models cannot answer")
    predictor = make(arguments.model, PredictorOptions(device=arguments.device, float32_on_cpu=True, generation=arguments.generation))
    check_roles(predictor, (name for name in files if name != OPTICAL))
    question = Question(arguments.text or "", arguments.classes, arguments.max_new_tokens)
    prediction = ask(predictor, read_images(files, max_bytes=arguments.max_bytes), question=question)
    written = write_prediction(prediction, arguments.out, overwrite=arguments.overwrite)
    say(prediction.text or "(the model's answer is empty)")
    for name, score in sorted(prediction.scores.items(), key=lambda item: -item[1]):
        say(f"  {score:8.4f}  {name}")
    for file in written:
        say(f"  {file}")


COMMAND = Command(name="predict", description=__doc__, add_arguments=add_arguments, run=run)
