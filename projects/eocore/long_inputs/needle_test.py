"""The needle test: a sign in one of many tiles, asked for under every method, ratio, length and depth.

The same images are asked about with every method and ratio, so that differences are theirs.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from eocore.data.io.image_listing import list_images
from eocore.errors import ConfigError, DataError
from eocore.evaluate.protocols import AnswersLong
from eocore.portable.long_options import COMPRESS, OFF
from eocore.predict.image_files import ImageFile, read_images
from eocore.synthetic.needles import COLOUR, CONTENTS, QUESTIONS, REFERENCE_PX, Needle, grid_of, land_tiles, make_needle

LONGEST_ANSWER = 8
"""Tokens; a sign's name has fewer."""
CROPS_OF_A_SCENE = 16
SCENES = 40
"""Held-out scenes of the synthetic world, where no folder is given."""


@dataclass(frozen=True, kw_only=True)
class NeedleOptions:
    """What is asked.

    Attributes:
        lengths: tiles of an image.
        depths: where the tile with the sign lies, from 0 (first) to 1 (last).
        ratios: vision tokens for each one that is left; 1 asks once, with all tokens.
        methods: of `eocore.portable.long_options`.
        samples: images of each length and depth.
        batch_size: images asked together.
        seed: of all images.
        asked_for: of the sign, a key of `needles.QUESTIONS`.
    """

    lengths: Sequence[int]
    depths: Sequence[float]
    ratios: Sequence[int]
    methods: Sequence[str]
    samples: int = 20
    batch_size: int = 4
    seed: int = 0
    asked_for: str = COLOUR

    def __post_init__(self) -> None:
        if min(self.lengths) < 1 or not all(0 <= depth <= 1 for depth in self.depths) or min(self.ratios) < 1:
            raise ConfigError(
                f"lengths {list(self.lengths)}, depths {list(self.depths)}, ratios {list(self.ratios)}: expected lengths and ratios from 1 "
                "on, and depths from 0 (first tile) to 1 (last)."
            )

    @property
    def chance(self) -> float:
        """Accuracy of an answer that is drawn."""
        return 1 / len(CONTENTS[self.asked_for])

    def asked(self) -> list[tuple[str, int]]:
        """(method, ratio) of every heat map."""
        whole = [(OFF, 1)] if 1 in self.ratios else []
        return whole + [(method, ratio) for ratio in self.ratios if ratio > 1 for method in self.methods]


@dataclass(frozen=True)
class Cell:
    """One method and ratio at one length and depth.

    Attributes:
        method, ratio, length, depth: of it.
        right, count: answers.
        tokens: that are remembered of a prompt, the mean.
        cache_bytes: of keys and values of a prompt.
        seconds: for a prompt and its answer.
    """

    method: str
    ratio: int
    length: int
    depth: float
    right: int
    count: int
    tokens: float
    cache_bytes: float
    seconds: float

    def line(self) -> dict[str, float | str]:
        """As it is saved."""
        return asdict(self)


def tiles_of_folder(folder: Path, *, side: int = REFERENCE_PX, seed: int = 0) -> list[np.ndarray]:
    """(side, side, 3) uint8 parts, drawn at random, of the pictures in a folder.

    Raises:
        DataError: it holds no pictures, or one is smaller than a tile.
    """
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


def run_needle_test(
    predictor: AnswersLong, tiles: Sequence[np.ndarray], *, options: NeedleOptions, on_cell: Callable[[], None] | None = None
) -> list[Cell]:
    """A cell for each method, ratio, length and depth.

    Args:
        predictor: of a system whose models read long inputs.
        tiles: (P, P, 3) uint8, of scenes that were not trained on.
        options: what is asked.
        on_cell: called after each, for a progress display.

    Raises:
        DataError: the model cannot take the images.
    """
    cells = []
    for length, depth, needles in _haystacks(tiles, options):
        for method, ratio in options.asked():
            cells.append(_ask(predictor, needles, options=options, length=length, depth=depth, how=(method, ratio)))
            if on_cell is not None:
                on_cell()
    return cells


def _haystacks(tiles: Sequence[np.ndarray], options: NeedleOptions) -> Iterator[tuple[int, float, list[Needle]]]:
    for length in options.lengths:
        for depth in options.depths:
            rng = np.random.default_rng([options.seed, length, round(1000 * depth)])
            tile = round(depth * (length - 1))
            yield length, depth, [make_needle(tiles, grid_of(length), rng=rng, tile=tile) for _ in range(options.samples)]


def _ask(
    predictor: AnswersLong, needles: Sequence[Needle], *, options: NeedleOptions, length: int, depth: float, how: tuple[str, int]
) -> Cell:
    method, ratio = how
    right, tokens, size, start = 0, 0.0, 0.0, time.perf_counter()
    for first in range(0, len(needles), options.batch_size):
        part = needles[first : first + options.batch_size]
        long = OFF if method == OFF else f"{method}:{ratio}"
        pictures = [needle.picture for needle in part]
        found = predictor.answer_long(pictures, QUESTIONS[options.asked_for], num_tiles=length, long=long, max_new_tokens=LONGEST_ANSWER)
        answers = [text.strip().lower().rstrip(".") for text in found.texts]
        right += sum(answer == needle.content[options.asked_for] for answer, needle in zip(answers, part, strict=True))
        tokens += found.tokens * len(part)
        size += found.cache_bytes * len(part)
    count = len(needles)
    seconds = (time.perf_counter() - start) / count
    return Cell(method, ratio, length, depth, right, count, tokens / count, size / count, seconds)


def default_methods(can_compress: bool) -> tuple[str, ...]:
    """Compression, where the model can, and the controls at the same number of tokens."""
    return (COMPRESS, "pool", "drop") if can_compress else ("pool", "drop", "choose")
