"""Needles in haystacks: a small sign pasted into one of many tiles of land, or on one of many dates, and the question what it looks like.

Colour, shape, size, lightness and tile are drawn independently, so that nothing but what is asked for answers the question: every colour
comes in every shape, lightness and tile. All colours are equally light in the mean, so that brightness does not tell them apart.
"""

import colorsys
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from eocore.errors import ConfigError
from eocore.files import write_file, writing
from eocore.synthetic.spectra import true_colour
from eocore.synthetic.world import make_scene

COLOUR, SHAPE = "colour", "shape"
QUESTIONS = {COLOUR: "Which colour is the sign in this image?", SHAPE: "Which shape is the sign in this image?"}
LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue in the lightness that an eye sees. Source: ITU-R BT.601."""
LIGHTNESS = (70.0, 150.0)
"""Of a sign, least and most, on a scale to 255; every colour has them all."""
HUES = {"red": 0.0, "orange": 30.0, "yellow": 60.0, "green": 120.0, "cyan": 180.0, "blue": 225.0, "purple": 270.0, "pink": 320.0}
"""Name of a colour -> its hue [degrees]."""
SIDES = (28, 44)
"""Of a sign, least and most, in pixels of a tile of `REFERENCE_PX`."""
REFERENCE_PX = 96
DRAWN_AT = 8
"""Signs are drawn so many times larger, then made smaller, so that their edges are smooth."""
LIGHT = (0.8, 1.2)
"""Of the land on a date, least and most, as a factor."""
FIRST_DAY, YEARS, GAP_DAYS = date(2017, 1, 1), 4, (5, 31)
"""Series begin on a day of these years and go on after so many days each, the last exclusive: Sentinel-2 comes every five."""
NUM_SCENES = 200
"""Different tiles that haystacks of the synthetic world are made of."""
LENGTHS = {1: (1, 1), 4: (2, 2), 8: (2, 4), 16: (2, 8), 32: (4, 8)}
"""Tiles of a training image -> rows and columns, each of a shape that dynamic tiling with at most 32 tiles cuts as it was put together."""


def _bars(draw: ImageDraw.ImageDraw, side: int) -> None:
    for start in (0, 0.4, 0.8):
        draw.rectangle((0, start * side, side, (start + 0.2) * side), fill=255)


def _cross(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.rectangle((0.38 * side, 0, 0.62 * side, side), fill=255)
    draw.rectangle((0, 0.38 * side, side, 0.62 * side), fill=255)


def _saltire(draw: ImageDraw.ImageDraw, side: int) -> None:
    width = round(0.24 * side)
    draw.line((0, 0, side, side), fill=255, width=width)
    draw.line((0, side, side, 0), fill=255, width=width)


SHAPES: dict[str, Callable[[ImageDraw.ImageDraw, int], None]] = {
    "disc": lambda draw, side: draw.ellipse((0, 0, side, side), fill=255),
    "ring": lambda draw, side: draw.ellipse((0, 0, side, side), outline=255, width=round(0.22 * side)),
    "frame": lambda draw, side: draw.rectangle((0, 0, side, side), outline=255, width=round(0.2 * side)),
    "cross": _cross,
    "saltire": _saltire,
    "triangle": lambda draw, side: draw.polygon((0, side, side / 2, 0, side, side), fill=255),
    "bars": _bars,
    "column": lambda draw, side: draw.rectangle((0.35 * side, 0, 0.65 * side, side), fill=255),
}
"""What each sign is called, and what draws it into a square."""
CONTENTS = {COLOUR: tuple(HUES), SHAPE: tuple(SHAPES)}
"""What is asked for -> all answers."""


@dataclass(frozen=True)
class Needle:
    """A sign in a haystack.

    Attributes:
        picture: (H, W, 3) uint8, tiles side by side.
        content: what is asked for -> its answer.
        tile: number of the tile that it lies in, row by row.
    """

    picture: np.ndarray
    content: Mapping[str, str]
    tile: int


@dataclass(frozen=True)
class DatedNeedle:
    """A sign on one date of a series.

    Attributes:
        pictures: (P, P, 3) uint8 of each date: one place in another light.
        dates: ISO dates, in order.
        content: what is asked for -> its answer.
        number: of the date that it lies on, from 0.
    """

    pictures: Sequence[np.ndarray]
    dates: Sequence[str]
    content: Mapping[str, str]
    number: int


Tiles = Sequence[np.ndarray]
"""(P, P, 3) uint8 pictures of land, of one size."""


def draw_shape(shape: str, side: int) -> np.ndarray:
    """(side, side) float32 from 0 to 1: how much of each pixel a sign covers."""
    large = Image.new("L", (side * DRAWN_AT, side * DRAWN_AT))
    SHAPES[shape](ImageDraw.Draw(large), side * DRAWN_AT - 1)
    return np.asarray(large.resize((side, side), Image.Resampling.BOX), np.float32) / 255


def mix_colour(colour: str, lightness: float) -> np.ndarray:
    """(3,) float32 from 0 to 255, of that lightness where the hue reaches it, else the hue with white or black added."""
    pure = 255 * np.array(colorsys.hsv_to_rgb(HUES[colour] / 360, 1.0, 1.0), np.float32)
    own = float(np.dot(pure, LUMA))
    if lightness <= own:
        return pure * (lightness / own)
    return pure + (255 - pure) * ((lightness - own) / (255 - own))


def paste_sign(tile: np.ndarray, content: Mapping[str, str], *, rng: np.random.Generator) -> np.ndarray:
    """The tile (P, P, 3) uint8 with a sign of random size, place and lightness in it."""
    side = round(len(tile) / REFERENCE_PX * rng.uniform(*SIDES))
    row, column = rng.integers(0, len(tile) - side + 1, 2)
    cover = draw_shape(content[SHAPE], side)[..., None]
    window = tile[row : row + side, column : column + side].astype(np.float32)
    painted = tile.copy()
    mixed = window * (1 - cover) + mix_colour(content[COLOUR], rng.uniform(*LIGHTNESS)) * cover
    painted[row : row + side, column : column + side] = np.round(mixed).astype(np.uint8)
    return painted


def make_needle(tiles: Tiles, shape: tuple[int, int], *, rng: np.random.Generator, tile: int | None = None) -> Needle:
    """A haystack of random tiles, turned at random, with one sign in it.

    Args:
        tiles: of land.
        shape: (rows, columns) of the haystack.
        rng: draws everything; content, tile and looks independently.
        tile: the number of the tile with the sign; None = drawn.
    """
    rows, columns = shape
    content = {asked: answers[int(rng.integers(len(answers)))] for asked, answers in CONTENTS.items()}
    drawn = int(rng.integers(rows * columns))
    chosen = drawn if tile is None else tile
    parts = [np.rot90(tiles[int(rng.integers(len(tiles)))], int(rng.integers(4))) for _ in range(rows * columns)]
    parts[chosen] = paste_sign(parts[chosen], content, rng=rng)
    side = len(parts[0])
    whole = np.stack(parts).reshape(rows, columns, side, side, 3).transpose(0, 2, 1, 3, 4)
    return Needle(np.ascontiguousarray(whole.reshape(rows * side, columns * side, 3)), content, chosen)


def make_dated_needle(tiles: Tiles, length: int, *, rng: np.random.Generator, number: int | None = None) -> DatedNeedle:
    """A series of one random tile, lit otherwise on each date, with one sign on one of them.

    Args:
        tiles: of land.
        length: dates.
        rng: draws everything; content, date and looks independently.
        number: of the date with the sign, from 0; None = drawn.
    """
    content = {asked: answers[int(rng.integers(len(answers)))] for asked, answers in CONTENTS.items()}
    drawn = int(rng.integers(length))
    chosen = drawn if number is None else number
    land = np.rot90(tiles[int(rng.integers(len(tiles)))], int(rng.integers(4))).astype(np.float32)
    pictures = [np.round(land * light).clip(0, 255).astype(np.uint8) for light in rng.uniform(*LIGHT, length)]
    pictures[chosen] = paste_sign(pictures[chosen], content, rng=rng)
    days = np.cumsum([int(rng.integers(YEARS * 365)), *rng.integers(*GAP_DAYS, length - 1)])
    return DatedNeedle(pictures, [(FIRST_DAY + timedelta(days=int(day))).isoformat() for day in days], content, chosen)


def grid_of(length: int) -> tuple[int, int]:
    """(rows, columns) of so many tiles, as square as can be, wider than high."""
    rows = next(number for number in range(math.isqrt(length), 0, -1) if length % number == 0)
    return rows, length // rows


def land_tiles(split: str, count: int = NUM_SCENES, *, seed: int = 0) -> list[np.ndarray]:
    """(96, 96, 3) true colours of scenes of the synthetic world."""
    return [true_colour(make_scene(split, number, seed=seed).optical) for number in range(count)]


def count_needles(count: int) -> int:
    """Images of all lengths that `write_needles` writes for a split."""
    return sum(_of_length(count, length) for length in LENGTHS)


def _of_length(count: int, length: int) -> int:
    """Images of so many tiles: about as many tiles of each length, `count` images of 4."""
    return max(count * 4 // length, 1)


def write_needles(
    root: Path, counts: dict[str, int], *, seed: int = 0, num_scenes: int = NUM_SCENES, on_sample: Callable[[], None] | None = None
) -> None:
    """Writes rgb/LENGTH/ (PNG), colour_LENGTH.json and shape_LENGTH.json, questions in LLaVA's form, by split; see `LENGTHS`.

    Args:
        root: is made where it does not exist; files of the same name are replaced.
        counts: images of 4 tiles, by split; of other lengths as many as have about the same number of tiles.
        seed: of all of them.
        num_scenes: different tiles of land, by split.
        on_sample: called after each image, for a progress display.

    Raises:
        ConfigError: a number of images is below 1.
    """
    for number, (split, count) in enumerate(counts.items()):
        if count < 1:
            raise ConfigError(f"needles: {count} images for '{split}'; expected at least 1.")
        tiles = land_tiles(split, num_scenes, seed=seed)
        for length, shape in LENGTHS.items():
            rng = np.random.default_rng([seed, number, length])
            folder, needles = root / split / "rgb" / str(length), []
            with writing(folder, "the needles"):
                folder.mkdir(parents=True, exist_ok=True)
            for index in range(_of_length(count, length)):
                needle, name = make_needle(tiles, shape, rng=rng), f"{length}/{index:05d}"
                with writing(folder, "the needles"):
                    Image.fromarray(needle.picture).save(root / split / "rgb" / f"{name}.png", compress_level=1)
                needles.append((name, needle.content))
                if on_sample is not None:
                    on_sample()
            for asked in QUESTIONS:
                entries = [_entry(name, asked, answer=content[asked]) for name, content in needles]
                write_file(root / split / f"{asked}_{length}.json", json.dumps(entries, indent=1).encode())


def _entry(name: str, asked: str, *, answer: str) -> dict[str, object]:
    said = [{"from": "human", "value": f"<image>\n{QUESTIONS[asked]}"}, {"from": "gpt", "value": answer}]
    return {"id": name, "image": f"{name}.png", "conversations": said}
