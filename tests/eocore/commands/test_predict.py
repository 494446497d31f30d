"""The images of a question as the command line names them: options of their own for some roles, --image for any other."""

import argparse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eocore.commands.predict import COMMAND, add_image_options, by_role, byte_count, image_files, read_sizes, read_windows
from eocore.errors import ConfigError
from eocore.predict.answers import Prediction
from eocore.predict.asking import Question, ask, check_roles
from eocore.predict.image_files import ImageFile, read_images
from eocore.sensors.scene import Scene


class Compares:
    """Answers about two images of one place."""

    roles = ("before", "after")

    def predict(self, scenes: dict[str, Scene], text: str, *, max_new_tokens: int) -> Prediction:
        brighter = scenes["after"].pixels.mean() > scenes["before"].pixels.mean()
        return Prediction("brighter" if brighter else "darker", np.zeros((0, 1, 1), bool), "", scenes)


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_image_options(parser)
    return parser.parse_args(words)


def test_roles_of_ones_own_are_named_with_their_files_sensors_and_bands() -> None:
    words = ["--image", "before=a.png", "after=b.png", "--image", "dem=c.tif", "d.tif", "--sar", "s.tif"]
    found = image_files(parsed(*words, "--sensor", "before=rgb_uint8", "--bands", "dem=height,slope"))
    assert found == {
        "sar": ImageFile(("s.tif",)),
        "before": ImageFile(("a.png",), "rgb_uint8"),
        "after": ImageFile(("b.png",)),
        "dem": ImageFile(("c.tif", "d.tif"), bands=("height", "slope")),
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.png"], "--image a.png: expected ROLE=FILE"),
        (["Before=a.png"], "--image Before=a.png: expected ROLE=FILE"),
        (["dem="], "the role has no file, or is named twice"),
        (["dem=a.tif", "dem=b.tif"], "no file, or is named twice. Name each role once, with its files behind it"),
        (["sar=a.tif"], "the role has an option of its own. Use --sar"),
    ],
)
def test_other_forms_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        by_role(words)


def test_a_sensor_is_for_an_image_that_is_given() -> None:
    with pytest.raises(ConfigError, match=r"--sensor dem=x: expected INPUT=VALUE, with INPUT one of .*, sar, after"):
        image_files(parsed("--image", "after=a.png", "--sensor", "dem=x"))


def test_a_model_takes_the_roles_that_it_declares_and_lists_them_for_others(tmp_path: Path) -> None:
    for name, grey in (("a", 20), ("b", 200)):
        Image.new("RGB", (8, 8), (grey,) * 3).save(tmp_path / f"{name}.png")
    files = image_files(parsed("--image", f"before={tmp_path / 'a.png'}", f"after={tmp_path / 'b.png'}"))
    check_roles(Compares(), files)
    assert ask(Compares(), read_images(files), question=Question("What changed?")).text == "brighter"
    with pytest.raises(ConfigError, match=r"reads no image of role 'rgb'; its roles: before, after. Give the image as one of these"):
        ask(Compares(), read_images({"rgb": ImageFile((str(tmp_path / "a.png"),))}), question=Question("What?"))
    check_roles(object(), ["anything"])


def test_windows_of_one_or_all_inputs() -> None:
    found = image_files(parsed("--rgb", "a.png", "--sar", "b.tif", "--window", "1,2,30,40"))
    assert {name: file.window for name, file in found.items()} == {"rgb": (1, 2, 30, 40), "sar": (1, 2, 30, 40)}
    found = image_files(parsed("--rgb", "a.png", "--sar", "b.tif", "--window", "sar=0,0,5,6", "rgb=0,0,10,12", "--gsd", "sar=20"))
    assert {name: (file.window, file.gsd_m) for name, file in found.items()} == {"rgb": ((0, 0, 10, 12), None), "sar": ((0, 0, 5, 6), 20.0)}
    with pytest.raises(ConfigError, match=r"--window sar=...: no --sar image is given"):
        image_files(parsed("--rgb", "a.png", "--window", "sar=0,0,5,6"))


@pytest.mark.parametrize("entry", ["1,2,3", "a,b,c,d", "dem=1,2,3,4", "-1,0,5,5", "1.5,0,5,5"])
def test_other_windows_are_refused(entry: str) -> None:
    with pytest.raises(ConfigError, match="expected ROW,COL,HEIGHT,WIDTH in whole pixels"):
        read_windows([entry])


def test_an_input_has_one_window() -> None:
    with pytest.raises(ConfigError, match="sar has a window already"):
        read_windows(["1,2,3,4", "sar=1,2,3,4"])


@pytest.mark.parametrize(("text", "size"), [("512000000", 512_000_000), ("512MB", 512 * 10**6), ("2 gb", 2 * 10**9), ("1.5G", 15 * 10**8)])
def test_sizes_in_bytes(text: str, size: int) -> None:
    assert byte_count(text) == size


@pytest.mark.parametrize("text", ["", "0", "MB", "-5", "2 GiB"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a number of bytes"):
        byte_count(text)


@pytest.mark.parametrize("entry", ["sar=0", "sar=x", "sar=-10", "sar=nan"])
def test_other_pixel_sizes_are_refused(entry: str) -> None:
    with pytest.raises(ConfigError, match="expected a positive number of metres"):
        read_sizes([entry])


def test_an_empty_question_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    COMMAND.add_arguments(parser)
    for words, message in (([], "give --text or --classes"), (["--text", " "], "--text is empty: expected a question")):
        with pytest.raises(SystemExit):
            COMMAND.run(parser.parse_args([str(tmp_path), "--out", str(tmp_path / "out"), *words]))
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--series", "s2", "--optical", "a.tif"], "--series, or --before and --after, name all images"),
        (["--series", "s2", "--before", "a.tif", "--after", "b.tif"], "--series, or --before and --after, name all images"),
        (["--optical", "a.tif", "--dates", "2021-03-04"], "--dates belong to --series or --before and --after"),
        (["--inputs", "s2", "--series", "s2"], "--inputs asks about many images, each of one moment"),
        (["--inputs", "s2", "--video", "a.mp4"], "--inputs asks about many images, each of one moment"),
        (["--video", "a.mp4", "--before", "a.tif", "--sar", "b.tif"], "--video names all images, as pictures: leave --sar, --before out"),
        (["--optical", "a.tif", "--max-frames", "4"], "--max-frames belongs to --video"),
        (["--video", "a.mp4", "--tiles", "4"], "--tiles is for one image of each sensor"),
        (["--video", "", "--sar", "b.tif"], "--video names all images, as pictures: leave --sar out"),
        (["--video", "a.mp4", "--format", "csv"], "--format is of the answers about --inputs"),
    ],
)
def test_options_of_series_go_with_no_others(words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    COMMAND.add_arguments(parser)
    arguments = parser.parse_args(["MODEL", *words, "--text", "What changed?", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit):
        COMMAND.run(arguments)
    assert message in capsys.readouterr().err


def test_options_of_an_input_that_a_series_lacks_are_refused(tmp_path: Path) -> None:
    for day in ("2021-03-04", "2021-06-01"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / f"{day}.png")
    parser = argparse.ArgumentParser()
    COMMAND.add_arguments(parser)
    words = ["--series", str(tmp_path), "--sensor", "sar=sentinel1_grd", "--text", "What changed?", "--out", str(tmp_path / "out")]
    with pytest.raises(ConfigError, match=r"--sensor sar=...: no --sar image is given. Inputs given: optical"):
        COMMAND.run(parser.parse_args(["MODEL", *words]))
