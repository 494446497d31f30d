"""Asks a converted model about image files; writes the answer, masks (GeoTIFF where the image is georeferenced) and an overlay.

With --inputs about many: answers.jsonl takes a line each as it comes, masks/ the masks. The same command goes on where one was stopped.
"""

import argparse
import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eocore.command import Command, say
from eocore.commands.arguments import add_dtype, add_generation, positive
from eocore.errors import ConfigError
from eocore.overrides import add_long, with_long
from eocore.portable.series import MAX_FRAMES
from eocore.predict.inputs import FORMATS, INPUTS, OPTICAL

if TYPE_CHECKING:
    from eocore.predict.asking import Question
    from eocore.predict.image_files import ImageFile
    from eocore.predict.items import Item
    from eocore.predict.series_files import DatedFile
    from eocore.sensors.scene import Scene

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
    _add_series(parser)
    _add_many(parser)
    parser.add_argument("--text", help="question or request")
    parser.add_argument(
        "--classes", nargs="+", action="extend", default=[], metavar="NAME", help="instead: class names that the model scores"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--max-new-tokens", type=int, default=256, metavar="N", help="longest answer (default: %(default)s)")
    add_generation(parser)
    add_long(parser)
    tiles = "most tiles that an image is cut into; larger ones are read part by part (default: as the model was made, read whole)"
    parser.add_argument("--tiles", type=positive, metavar="N", help=tiles)
    parser.add_argument("--device", help="as torch names it (default: the GPU if there is one)")
    add_dtype(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier prediction in DIR")


def _add_many(parser: argparse.ArgumentParser) -> None:
    """Options of a run over many images."""
    many = parser.add_argument_group("many images")
    many.add_argument(
        "--inputs",
        nargs="+",
        action="extend",
        default=[],
        metavar="[INPUT=]PATH",
        help="folders, image files, a list (.txt, a path a line) or a table (.csv, .tsv, .json, .jsonl, .parquet: image or one column an "
        "input, text, id); images of several inputs are joined by their names: --inputs optical=s2 sar=s1",
    )
    many.add_argument("--format", nargs="+", action="extend", default=[], choices=FORMATS, help="further tables of the answers")
    many.add_argument("--batch-size", type=positive, default=8, metavar="N", help="items answered together (default: %(default)s)")


def _add_series(parser: argparse.ArgumentParser) -> None:
    """Options of images of several moments."""
    series = parser.add_argument_group("series and change")
    several = "[INPUT=]PATH"
    series.add_argument(
        "--series",
        nargs="+",
        action="extend",
        default=[],
        metavar=several,
        help="images of one place on several dates: folders or files; images of one date are read together: --series optical=s2 sar=s1",
    )
    series.add_argument(
        "--dates",
        nargs="+",
        action="extend",
        default=[],
        metavar="DATE",
        help="of the images in their order (default: from the file names)",
    )
    series.add_argument("--before", nargs="+", action="extend", default=[], metavar=several, help="image before a change")
    series.add_argument("--after", nargs="+", action="extend", default=[], metavar=several, help="image after it")
    series.add_argument("--video", metavar="FILE", help="video (extra `video`), of which frames at even distances are read")
    most = f"most frames of --video that are read (default: {MAX_FRAMES})"
    series.add_argument("--max-frames", "--max-frames-num", type=positive, metavar="N", help=most)


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
    others = by_role(word for words in arguments.image for word in words)
    given = {name: paths for name in INPUTS if (paths := getattr(arguments, name))} | others
    said = files_said(arguments, (*INPUTS, *others))
    _check_given(arguments, given)
    return {name: replace(said[name], paths=tuple(paths)) for name, paths in given.items()}


def files_said(arguments: argparse.Namespace, known: Collection[str]) -> "dict[str, ImageFile]":
    """Input -> what options say of its files, for all known inputs. Raises ConfigError where an option has another form."""
    from eocore.predict.image_files import ImageFile

    windows, sizes = read_windows(arguments.window, known=known), read_sizes(arguments.gsd, known=known)
    sensors, bands = by_input("sensor", arguments.sensor, known=known), by_input("bands", arguments.bands, known=known)
    return {
        name: ImageFile(
            (),
            sensors.get(name),
            tuple(bands[name].split(",")) if name in bands else (),
            window=windows.get(name),
            gsd_m=sizes.get(name),
            noise_removal=arguments.remove_noise and name == "sar",
        )
        for name in known
    }


def _check_given(arguments: argparse.Namespace, given: Collection[str]) -> None:
    """Raise ConfigError if an option is for an input without an image."""
    for option in ("sensor", "bands", "gsd", "window"):
        for entry in getattr(arguments, option):
            name, equals, _ = entry.partition("=")
            if equals and name not in given:
                raise ConfigError(f"--{option} {name}=...: no --{name} image is given. Inputs given: {', '.join(given) or 'none'}.")


def run(arguments: argparse.Namespace) -> int:
    """Asks, writes, and prints the answer and the files; of many images it returns 1 where one has no answer."""
    arguments.generation = with_long(arguments)
    if arguments.text is not None and not arguments.text.strip():
        arguments.usage_error("--text is empty: expected a question or request about the images")
    if arguments.text is not None and arguments.classes:
        arguments.usage_error("give --text or --classes, one of them")
    if arguments.tiles is not None and (arguments.inputs or _of_moments(arguments)):
        arguments.usage_error("--tiles is for one image of each sensor, not for --inputs, --series, --before, --after and --video")
    if arguments.max_frames is not None and arguments.video is None:
        arguments.usage_error("--max-frames belongs to --video")
    if arguments.inputs:
        return _run_many(arguments)
    if arguments.format:
        arguments.usage_error("--format is of the answers about --inputs; one answer is written as answer.json and answer.txt")
    if arguments.text is None and not arguments.classes:
        arguments.usage_error("give --text or --classes, one of them")
    _run_one(arguments)
    return 0


def _of_moments(arguments: argparse.Namespace) -> bool:
    """Whether the command line names images of several moments, or a video."""
    return bool(arguments.series or arguments.before or arguments.after or arguments.video is not None)


def _predictor(arguments: argparse.Namespace) -> Any:
    from eocore.system import PredictorOptions, system_of_model

    system = system_of_model(arguments.model)
    make = system.need(system.predictor, "its models cannot answer")
    return make(
        arguments.model,
        PredictorOptions(
            device=arguments.device,
            float32_on_cpu=True,
            dtype=arguments.dtype,
            generation=arguments.generation,
            num_tiles=arguments.tiles,
        ),
    )


def _question(arguments: argparse.Namespace) -> "Question":
    from eocore.predict.asking import Question

    return Question(arguments.text or "", arguments.classes, arguments.max_new_tokens)


def _run_one(arguments: argparse.Namespace) -> None:
    from eocore.predict.answers import find_earlier, write_prediction
    from eocore.predict.asking import ask, check_roles
    from eocore.predict.large_images import check_tiles
    from eocore.predict.series_files import read_series, read_video

    if arguments.tiles is not None:
        check_tiles(arguments.tiles)
    find_earlier(arguments.out, overwrite=arguments.overwrite)
    seconds: dict[str, float] = {}
    if arguments.video is not None:
        _check_video(arguments)
        scenes, seconds = read_video(arguments.video, max_frames=arguments.max_frames or MAX_FRAMES, max_bytes=arguments.max_bytes)
        predictor = _predictor(arguments)
    elif _of_moments(arguments):
        dated = _dated_files(arguments)
        predictor = _predictor(arguments)
        scenes = read_series(dated, max_bytes=arguments.max_bytes)
    else:
        if arguments.dates:
            arguments.usage_error("--dates belong to --series or --before and --after")
        files = image_files(arguments)
        predictor = _predictor(arguments)
        check_roles(predictor, (name for name in files if name != OPTICAL))
        scenes = _read(arguments, files, predictor=predictor)
    prediction = ask(predictor, scenes, question=_question(arguments))
    written = write_prediction(replace(prediction, seconds=seconds), arguments.out, overwrite=arguments.overwrite)
    say(prediction.text or "(the model's answer is empty)")
    for name, score in sorted(prediction.scores.items(), key=lambda item: -item[1]):
        say(f"  {score:8.4f}  {name}")
    for file in written:
        say(f"  {file}")


def _read(arguments: argparse.Namespace, files: "dict[str, ImageFile]", *, predictor: Any) -> "dict[str, Scene]":
    """The scenes; with --tiles part by part. Raises ConfigError where the system's models cut no tiles."""
    from eocore.evaluate.protocols import AnswersLong
    from eocore.predict.image_files import read_images
    from eocore.predict.large_images import read_reduced

    if arguments.tiles is None:
        return read_images(files, max_bytes=arguments.max_bytes)
    if not isinstance(predictor, AnswersLong):
        raise ConfigError(f"--tiles {arguments.tiles}: models of this system read an image whole. Leave it out.")
    return read_reduced(files, num_tiles=arguments.tiles, side=predictor.window_side, max_bytes=arguments.max_bytes)


def _check_video(arguments: argparse.Namespace) -> None:
    """A usage error where options name or describe other images beside --video."""
    others = (*INPUTS, "image", "series", "dates", "before", "after", "sensor", "bands", "window", "gsd", "remove_noise")
    given = [f"--{name.replace('_', '-')}" for name in others if getattr(arguments, name)]
    if given:
        arguments.usage_error(f"--video names all images, as pictures: leave {', '.join(given)} out")


def _dated_files(arguments: argparse.Namespace) -> "list[DatedFile]":
    """The images of --series, or of --before and --after. Raises as `find_series` and `find_pair`."""
    from eocore.predict.series_files import find_pair, find_series

    pair = bool(arguments.before or arguments.after)
    if (pair and arguments.series) or any(getattr(arguments, name) for name in INPUTS) or arguments.image:
        arguments.usage_error("--series, or --before and --after, name all images: give no other image option")
    options = files_said(arguments, INPUTS)
    if pair:
        found = find_pair(arguments.before, arguments.after, dates=arguments.dates, options=options)
    else:
        found = find_series(arguments.series, arguments.dates, options=options)
    _check_given(arguments, dict.fromkeys(one.input for one in found))
    return found


def _run_many(arguments: argparse.Namespace) -> int:
    """Answers all items that have no answer yet; 1 where one has none in the end."""
    from eocore.data.io.file_digests import stamp
    from eocore.evaluate.engine.digests import model_digests
    from eocore.predict.answer_log import describe_failed, describe_sensors
    from eocore.predict.asking import check_roles
    from eocore.predict.many import Asking
    from eocore.predict.running import RunOptions, predict_many

    if any(getattr(arguments, name) for name in INPUTS) or arguments.image:
        arguments.usage_error("--inputs names all images: give no other image option")
    if _of_moments(arguments) or arguments.dates:
        arguments.usage_error(
            "--inputs asks about many images, each of one moment: leave --series, --before, --after, --video and --dates out"
        )
    items = _items(arguments)
    predictor = _predictor(arguments)
    check_roles(predictor, {name for item in items for name in item.files if name != OPTICAL})
    names = ("text", "classes", "max_new_tokens", "generation", "dtype", "sensor", "bands", "window", "gsd", "remove_noise")
    choices = {name: getattr(arguments, name) for name in names} | {"model": stamp(model_digests(arguments.model))}
    asking = Asking(_question(arguments), arguments.batch_size, arguments.max_bytes)
    options = RunOptions(arguments.out, tuple(arguments.format), arguments.overwrite)
    lines = predict_many(predictor, items, asking=asking, choices=choices, options=options)
    failed = describe_failed(lines)
    for line in failed:
        say(line)
    tables = ", ".join(f"answers.{name}" for name in dict.fromkeys(["jsonl", *arguments.format]))
    say(f"{arguments.out}: {len(lines)} items in {tables}; read as {describe_sensors(lines) or 'no image'}")
    return 1 if failed else 0


def _items(arguments: argparse.Namespace) -> "list[Item]":
    """The items of --inputs. Raises ConfigError where one has no question, or an option is for an input that none has."""
    from eocore.predict.items import find_items
    from eocore.text import some_of

    items = find_items(arguments.inputs, options=files_said(arguments, INPUTS))
    used = {name for item in items for name in item.files}
    _check_given(arguments, used)
    silent = [item.source for item in items if not (item.text or arguments.text or arguments.classes)]
    if silent:
        raise ConfigError(f"{len(silent)} of {len(items)} items have no question ({some_of(silent, 3)}). Give --text, or a column `text`.")
    return items


COMMAND = Command(name="predict", description=__doc__, add_arguments=add_arguments, run=run)
