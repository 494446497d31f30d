"""What hides a needle: tiles of one image, dates of a series, frames of a video."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eocore.data.formats.entries import Entry, read_object
from eocore.data.image_sources import file_inside
from eocore.data.io.image_listing import list_images
from eocore.data.io.video_files import count_frames, read_frames
from eocore.errors import AnnotationError, ConfigError, DataError
from eocore.evaluate.protocols import Shown
from eocore.evaluate.scoring.parsing.choices import read_choice
from eocore.portable.series import Moment
from eocore.predict.image_files import ImageFile, read_images
from eocore.synthetic.needles import COLOUR, CONTENTS, QUESTIONS, REFERENCE_PX, grid_of, land_tiles, make_dated_needle, make_needle

CROPS_OF_A_SCENE = 16
SCENES = 40
"""Held-out scenes of the synthetic world, where no folder is given."""
TILES, DATES = "tiles", "dates"
NEEDLES_FOLDER, QUESTIONS_FILE = "needles", "qa/qa.json"
"""In a folder of needles and questions, as NIAH/datas of github.com/VectorSpaceLab/Video-XL has them."""
QUESTION, ANSWER, NEEDLE = "retrieval_question", "answer", "needle"
_OPTION = re.compile(r"\(([A-Z])\)\s*([^\n(]+)")


@dataclass(frozen=True)
class Trial:
    """A question about a haystack.

    Attributes:
        shown: a picture (H, W, 3) uint8, or the moments of a series.
        text: the question.
        answer: the right one, as a word or as the letter of an option.
        options: with their letters, in order; empty = the answer is a word.
    """

    shown: Shown
    text: str
    answer: str
    options: tuple[str, ...] = ()

    def is_right(self, said: str) -> bool:
        """Whether an answer is the right one: the same word, whatever its case, or the letter or words of the right option."""
        if not self.options:
            return said.strip().lower().rstrip(".") == self.answer
        chosen = read_choice(said, self.options).only
        return chosen is not None and self.options[chosen].startswith(f"{self.answer}. ")


class Haystack(Protocol):
    """Where needles are hidden."""

    @property
    def unit(self) -> str:
        """What a length counts: "tiles", "dates", "frames"."""

    @property
    def chance(self) -> float:
        """Accuracy of an answer that is drawn."""

    @property
    def about(self) -> str:
        """What is asked, in words for the page."""

    def tokens_of(self, length: int) -> int:
        """Tiles that the model sees of a haystack of this length."""

    def trials(self, length: int, depth: float) -> list[Trial]:
        """Questions about haystacks of a length, with the needle at a depth from 0 (first) to 1 (last)."""


@dataclass(frozen=True, kw_only=True)
class SignHaystack:
    """Signs in the tiles of an image, or on the dates of a series.

    Attributes:
        tiles: (P, P, 3) uint8 of scenes that were not trained on.
        unit: "tiles" or "dates".
        samples: haystacks of each length and depth.
        seed: of all of them.
        asked_for: of the sign, a key of `needles.QUESTIONS`.
    """

    tiles: Sequence[np.ndarray] = field(repr=False)
    unit: str = TILES
    samples: int = 20
    seed: int = 0
    asked_for: str = COLOUR

    @property
    def chance(self) -> float:
        """See `Haystack`."""
        return 1 / len(CONTENTS[self.asked_for])

    @property
    def about(self) -> str:
        """See `Haystack`."""
        hidden = "on one of the dates of a series" if self.unit == DATES else "in one of the tiles of an image"
        return f"the {self.asked_for} of a sign {hidden}, {self.samples} of each length and depth"

    def tokens_of(self, length: int) -> int:
        """See `Haystack`."""
        return length

    def trials(self, length: int, depth: float) -> list[Trial]:
        """See `Haystack`."""
        rng = np.random.default_rng([self.seed, length, round(1000 * depth)])
        make = self._on_date if self.unit == DATES else self._in_tile
        return [make(length, round(depth * (length - 1)), rng=rng) for _ in range(self.samples)]

    def _in_tile(self, length: int, tile: int, *, rng: np.random.Generator) -> Trial:
        needle = make_needle(self.tiles, grid_of(length), rng=rng, tile=tile)
        return self._trial(needle.picture, needle.content)

    def _on_date(self, length: int, number: int, *, rng: np.random.Generator) -> Trial:
        needle = make_dated_needle(self.tiles, length, rng=rng, number=number)
        moments = [Moment(day, {"rgb": picture}) for day, picture in zip(needle.dates, needle.pictures, strict=True)]
        return self._trial(moments, needle.content)

    def _trial(self, shown: Shown, content: Mapping[str, str]) -> Trial:
        text = QUESTIONS[self.asked_for]
        return Trial(shown, text.replace("in this image", "in these images") if self.unit == DATES else text, content[self.asked_for])


@dataclass(frozen=True)
class Pasted:
    """A picture that is put between the frames of a video, and the question about it.

    Attributes:
        picture: (H, W, 3) uint8.
        text: the question with its options.
        answer: the letter of the right one.
        options: with their letters.
    """

    picture: np.ndarray = field(repr=False)
    text: str
    answer: str
    options: tuple[str, ...]


class VideoHaystack:
    """Pictures between the frames of a video, as in Video-XL's needle test: so many frames of the video at even distances, and the needle.

    Args:
        video: of the user.
        needles: from `read_needles`.
        side: frames are averaged down to it [px].

    Raises:
        ConfigError: PyAV is not installed.
        DataError: the video cannot be read.
    """

    unit = "frames"

    def __init__(self, video: Path, needles: Sequence[Pasted], *, side: int) -> None:
        self._video, self._needles, self._side = video, needles, side
        self.num_frames = count_frames(video)
        self.chance = float(np.mean([1 / len(needle.options) for needle in needles]))
        self.about = f"{len(needles)} pictures, each put between frames of {video.name} ({self.num_frames:,} frames)"

    def tokens_of(self, length: int) -> int:
        """See `Haystack`. Raises ConfigError where the video has fewer frames."""
        if length > self.num_frames:
            raise ConfigError(
                f"--lengths {length}: {self._video} has {self.num_frames:,} frames. Name a longer video, or shorter lengths: no frame is "
                "shown twice."
            )
        return length + 1

    def trials(self, length: int, depth: float) -> list[Trial]:
        """See `Haystack`."""
        frames = [frame.pixels for frame in read_frames(self._video, length, longest_side=self._side)]
        place = int(length * depth)
        found = []
        for needle in self._needles:
            pictures = [*frames[:place], needle.picture, *frames[place:]]
            moments = [Moment(f"frame {number}", {"rgb": picture}) for number, picture in enumerate(pictures, start=1)]
            found.append(Trial(moments, needle.text, needle.answer, needle.options))
        return found


def read_needles(folder: Path) -> list[Pasted]:
    """The needles of a folder: needles/ (pictures), qa/qa.json (lists `retrieval_question`, `answer` (letters), `needle` (names)).

    Raises:
        DataError: a file is missing, or no picture.
        AnnotationError: the lists differ in length, or a question does not name its options as "(A) ...", the answer among them.
    """
    path = folder / QUESTIONS_FILE
    entry = Entry(read_object(path, f"with {QUESTION}, {ANSWER} and {NEEDLE}"), str(path))
    questions, answers, names = (entry.items(key) for key in (QUESTION, ANSWER, NEEDLE))
    if not questions or not len(questions) == len(answers) == len(names):
        raise AnnotationError(
            f"{path}: {len(questions)} questions, {len(answers)} answers, {len(names)} needles; expected as many of each, at least one."
        )
    return [_pasted(folder, each, source=f"{path}#{number}") for number, each in enumerate(zip(questions, answers, names, strict=True))]


def _pasted(folder: Path, entry: tuple[Any, Any, Any], *, source: str) -> Pasted:
    text, answer, name = entry
    if not all(isinstance(value, str) for value in (text, answer, name)):
        raise AnnotationError(f"{source}: expected texts, found {text!r:.60}, {answer!r:.20}, {name!r:.60}.")
    options = tuple(f"{letter}. {words.strip()}" for letter, words in _OPTION.findall(text))
    if len(options) < 2 or not any(option.startswith(f"{answer}. ") for option in options):
        raise AnnotationError(
            f"{source}: the answer {answer!r} is none of the options {list(options)}, which the question names as '(A) ...'."
        )
    file = file_inside(folder / NEEDLES_FOLDER, name, source=source)
    pixels = read_images({"rgb": ImageFile((file,), sensor="rgb_uint8")})["rgb"].pixels
    return Pasted(pixels.transpose(1, 2, 0).astype(np.uint8), text, answer, options)


def tiles_of_folder(folder: Path, *, side: int = REFERENCE_PX, seed: int = 0) -> list[np.ndarray]:
    """(side, side, 3) uint8 parts, drawn at random, of the pictures in a folder.

    Raises:
        DataError: it is no folder or holds no pictures, or one is smaller than a tile.
    """
    if folder.is_file():
        raise DataError(f"{folder}: a file, expected a folder of pictures. A video goes with --questions FOLDER, of needles of one's own.")
    names = list_images(folder)
    if not names:
        raise DataError(f"{folder}: no image files in it, so there is no land to hide a sign in. Name another folder.")
    rng, found = np.random.default_rng(seed), []
    for name in names:
        pixels = read_images({"rgb": ImageFile((str(folder / name),), sensor="rgb_uint8")})["rgb"].pixels
        height, width = pixels.shape[1:]
        if min(height, width) < side:
            raise DataError(f"{folder / name}: {height} x {width} px, smaller than a tile of {side} px. Leave it out.")
        for _ in range(CROPS_OF_A_SCENE):
            row, column = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
            found.append(pixels[:, row : row + side, column : column + side].transpose(1, 2, 0).astype(np.uint8))
    return found


def default_tiles(seed: int = 0) -> list[np.ndarray]:
    """Land of the synthetic world's test split, which no training sees."""
    return land_tiles("test", SCENES, seed=seed)
