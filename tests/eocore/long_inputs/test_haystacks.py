"""What hides a needle: tiles, dates, frames of a video."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from video_making import grey_video, shade

from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.long_inputs.haystacks import DATES, SignHaystack, Trial, VideoHaystack, read_needles, tiles_of_folder
from eocore.portable.series import check_order
from eocore.synthetic.needles import CONTENTS

LAND = [np.full((96, 96, 3), 120, np.uint8), np.full((96, 96, 3), 60, np.uint8)]
QUESTION = "Question: What is shown?\nOptions:(A) a cat\n(B) a red field\n(C) a road\nChoose the best option."


def test_a_sign_lies_on_the_date_that_the_depth_says() -> None:
    haystack = SignHaystack(tiles=LAND, unit=DATES, samples=12, asked_for="shape")
    for depth, number in ((0.0, 0), (0.5, 2), (1.0, 4)):
        for trial in haystack.trials(5, depth):
            times = [moment.time for moment in trial.shown]
            check_order(times, source="the series")
            plain = [len(np.unique(moment.images["rgb"].reshape(-1, 3), axis=0)) == 1 for moment in trial.shown]
            assert plain == [place != number for place in range(5)]
            assert trial.answer in CONTENTS["shape"] and trial.text == "Which shape is the sign in these images?"
    assert haystack.tokens_of(5) == 5 and haystack.chance == 1 / 8 and "on one of the dates of a series, 12 of" in haystack.about


def test_dates_and_light_do_not_tell_the_answer() -> None:
    trials = SignHaystack(tiles=LAND, unit=DATES, samples=40).trials(3, 0.5)
    assert len({trial.answer for trial in trials}) == 8
    firsts = {trial.shown[0].time for trial in trials}
    lights = {float(trial.shown[0].images["rgb"].mean()) for trial in trials}
    assert len(firsts) > 35 and len(lights) > 10


def test_a_haystack_is_cut_from_pictures(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 200, 3), np.uint8)).save(tmp_path / "a.png")
    found = tiles_of_folder(tmp_path)
    assert len(found) == 16
    assert {tile.shape for tile in found} == {(96, 96, 3)}
    Image.new("RGB", (50, 200)).save(tmp_path / "b.png")
    with pytest.raises(DataError, match="smaller than a tile of 96 px"):
        tiles_of_folder(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no image files"):
        tiles_of_folder(tmp_path / "none")
    (tmp_path / "a.mp4").touch()
    with pytest.raises(DataError, match=r"a\.mp4: a file, expected a folder of pictures\. A video goes with --questions FOLDER"):
        tiles_of_folder(tmp_path / "a.mp4")


@pytest.fixture
def needles(tmp_path: Path) -> Path:
    """A folder of one needle, in Video-XL's layout."""
    (tmp_path / "needles").mkdir()
    Image.new("RGB", (40, 30), "red").save(tmp_path / "needles" / "field.png")
    write_questions(tmp_path)
    return tmp_path


def write_questions(folder: Path, **changes: Any) -> None:
    (folder / "qa").mkdir(exist_ok=True)
    values = {"retrieval_question": [QUESTION], "answer": ["B"], "needle": ["field.png"], **changes}
    (folder / "qa/qa.json").write_text(json.dumps(values))


def test_a_picture_is_put_between_the_frames_of_a_video(needles: Path) -> None:
    pytest.importorskip("av", reason="extra video is not installed")
    haystack = VideoHaystack(grey_video(needles / "a.mp4", 9), read_needles(needles), side=32)
    for depth, place in ((0.0, 0), (0.5, 2), (1.0, 4)):
        (trial,) = haystack.trials(4, depth)
        assert [moment.time for moment in trial.shown] == [f"frame {number}" for number in range(1, 6)]
        pictures = [moment.images["rgb"] for moment in trial.shown]
        assert pictures.pop(place)[0, 0].tolist() == [255, 0, 0]
        assert [picture.mean() for picture in pictures] == pytest.approx([shade(number, 9) for number in (0, 2, 5, 8)], abs=3)
        assert pictures[0].shape == (32, 32, 3) and trial.text == QUESTION
    assert haystack.chance == pytest.approx(1 / 3) and haystack.tokens_of(9) == 10
    with pytest.raises(ConfigError, match=r"--lengths 10: .*a\.mp4 has 9 frames. Name a longer video, or shorter lengths"):
        haystack.tokens_of(10)


@pytest.mark.parametrize(("said", "right"), [("B", True), ("(B) a red field", True), ("a red field.", True), ("A", False), ("none", False)])
def test_letters_and_words_of_options_are_read(needles: Path, said: str, right: bool) -> None:
    (needle,) = read_needles(needles)
    assert needle.options == ("A. a cat", "B. a red field", "C. a road")
    assert Trial(needle.picture, needle.text, needle.answer, needle.options).is_right(said) is right


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"answer": ["B", "C"]}, AnnotationError, "1 questions, 2 answers, 1 needles; expected as many of each"),
        ({"answer": ["D"]}, AnnotationError, r"qa\.json#0: the answer 'D' is none of the options \['A\. a cat'"),
        ({"retrieval_question": ["What is it?"]}, AnnotationError, r"is none of the options \[\], which the question names as '\(A\)"),
        ({"needle": [3]}, AnnotationError, r"qa\.json#0: expected texts"),
        ({"needle": ["../x.png"]}, AnnotationError, "is no relative path inside the image folder"),
        ({"needle": ["none.png"]}, DataError, r"none\.png"),
    ],
)
def test_needles_that_break_the_layout_are_named(needles: Path, changes: Any, error: type[Exception], message: str) -> None:
    write_questions(needles, **changes)
    with pytest.raises(error, match=message):
        read_needles(needles)
