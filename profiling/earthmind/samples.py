"""Samples of stated sizes: so many tiles, tokens, supervised tokens and masks; through the processor, like any other sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from earthmind.model.batching import Batch, Sample
from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.task import EarthMindTask
from eocore.errors import ConfigError
from eocore.portable.band_rendering import SceneArray

SQUARE_SIDES = {1: 512, 5: 800, 10: 1024}
"""Tiles -> side [px] of a square image that is cut into so many tiles of 448 px, the thumbnail among them (`model.image_tiling`)."""
UPSTREAM_TILE = 448
REGION_CELLS = 6
"""Side of a region in token cells; 6 x 6 = 36 tokens."""
FILLER = "a"
"""A letter is a token of the byte-level tokenizer that benchmarks use."""
FILLERS = (FILLER, " a", " the", ".\n")
"""Choices for other tokenizers, which may join letters."""


@dataclass(frozen=True, kw_only=True)
class SampleKind:
    """What a sample holds.

    Attributes:
        tiles: of each sensor.
        text: tokens that are no vision tokens.
        supervised: supervised tokens.
        masks: [SEG] tokens, each with a mask.
        sensors: whose images it shows.
        region: True where a region is asked about.
    """

    tiles: int
    text: int = 64
    supervised: int = 12
    masks: int = 0
    sensors: tuple[str, ...] = ("rgb",)
    region: bool = False


KINDS = {
    "vqa": SampleKind(tiles=1),
    "seg": SampleKind(tiles=1, text=120, supervised=40, masks=5),
    "pair": SampleKind(tiles=1, sensors=("sar", "rgb")),
    "region": SampleKind(tiles=1, supervised=30, region=True),
    "vqa5": SampleKind(tiles=5),
    "seg10": SampleKind(tiles=10, text=120, supervised=40, masks=5),
    "vqa10": SampleKind(tiles=10),
    "pair10": SampleKind(tiles=10, sensors=("sar", "rgb")),
}
"""The first six are those of the side-by-side comparison with the upstream code."""
MIX = ("vqa",) * 15 + ("vqa5",) * 2 + ("vqa10", "seg", "pair10")
"""Twenty samples in about the fractions of the upstream mixture: 75 % of one tile, 10 % of five, 5 % each of ten, masks and pairs."""
MIXED = "mix"


def kinds_of(name: str) -> tuple[str, ...]:
    """Kinds of the samples that `name` stands for.

    Raises:
        ConfigError: there is no such kind.
    """
    if name != MIXED and name not in KINDS:
        raise ConfigError(f"no sample kind '{name}'. Choices: {', '.join([*KINDS, MIXED])}.")
    return MIX if name == MIXED else (name,)


def make_scenes(kind: SampleKind, *, tile_size: int, rng: np.random.Generator) -> dict[str, SceneArray]:
    """Random square images, in the size that is cut into the wanted tiles."""
    side = round(SQUARE_SIDES[kind.tiles] * tile_size / UPSTREAM_TILE)
    forms: Mapping[str, tuple[tuple[str, ...], str, float, float]] = {
        "rgb": (("red", "green", "blue"), "uint8", 0.0, 255.0),
        "sar": (("VV", "VH"), "sigma0_db", -30.0, 0.0),
    }
    return {
        name: SceneArray(rng.uniform(low, high, (len(bands), side, side)).astype(np.float32), bands, unit)
        for name, (bands, unit, low, high) in forms.items()
        if name in kind.sensors
    }


def encode_sample(processor: EarthMindProcessor, kind: SampleKind, *, scenes: Mapping[str, SceneArray], name: str = "sample") -> Sample:
    """One encoded sample with exactly the tokens, tiles and masks of `kind`.

    Raises:
        ConfigError: the processor cuts other tiles, or the text is too short for what must stand in it.
    """
    answer = "[SEG]" * kind.masks
    answer += FILLER * (kind.supervised - kind.masks - 1)  # one for the end of the turn
    side = next(iter(scenes.values())).pixels.shape[-1]
    masks = [_square(side, start=number, cells=4) for number in range(kind.masks)]
    turns = [("assistant", answer)]
    wanted = _Wording(answer=turns, text=kind.text, filler=FILLER)
    return _encode(processor, kind, scenes=scenes, wording=wanted, name=name, masks=masks)._replace(seed=0)


def filler_of(processor: EarthMindProcessor) -> str:
    """Text that is one token of the processor's tokenizer however often it is repeated.

    Raises:
        ConfigError: none of `FILLERS` is.
    """
    for text in FILLERS:
        if len(processor.tokenizer(text * 64, add_special_tokens=False).input_ids) == 64:
            return text
    raise ConfigError(f"the tokenizer joins or splits each of {FILLERS} when repeated, so prompts cannot be made of a stated length.")


def encode_question(processor: EarthMindProcessor, kind: SampleKind, *, scenes: Mapping[str, SceneArray], name: str = "sample") -> Sample:
    """One encoded question: the tiles, and the text of `kind` but for its supervised part.

    Raises:
        ConfigError: the processor cuts other tiles, or the text is too short for what must stand in it.
    """
    wanted = _Wording(answer=[], text=kind.text - kind.supervised, filler=filler_of(processor))
    return _encode(processor, kind, scenes=scenes, wording=wanted, name=name, for_generation=True)


@dataclass(frozen=True, kw_only=True)
class _Wording:
    """Turns after the question, tokens of text of all, and what the question is filled up with."""

    answer: Sequence[tuple[str, str]]
    text: int
    filler: str


def _encode(
    processor: EarthMindProcessor,
    kind: SampleKind,
    *,
    scenes: Mapping[str, SceneArray],
    wording: _Wording,
    name: str,
    **choices: Any,
) -> Sample:
    """A sample whose question is filled up until it has the wanted tokens of text, those of the turns after it among them.

    Raises:
        ConfigError: the processor cuts other tiles, or the text is too short for what must stand in it.
    """
    side = next(iter(scenes.values())).pixels.shape[-1]
    choices["regions"] = [_square(side, start=0, cells=REGION_CELLS)] if kind.region else []
    asked = "<image>\n" + ("<region>" if kind.region else "")
    shortest = processor.encode(scenes, [("user", asked), *wording.answer], sample_id=name, **choices)
    missing, tiles = wording.text - _text_tokens(shortest), kind.tiles * len(kind.sensors)
    if missing < 0 or len(shortest.tiles) != tiles:
        raise ConfigError(
            f"sample kind {name}: {_text_tokens(shortest)} text tokens and {len(shortest.tiles)} tiles at least, wanted are "
            f"{wording.text} and {tiles}. Set task.processor.max_tiles to 12 or more, and one view a sensor."
        )
    turns = [("user", asked + wording.filler * missing), *wording.answer]
    return processor.encode(scenes, turns, sample_id=name, **choices) if missing else shortest


def make_batch(task: EarthMindTask, names: Sequence[str], *, row_length: int | None = None, seed: int = 0) -> Batch:
    """The training batch of samples of these kinds."""
    rng, processor = np.random.default_rng(seed), task.processor
    samples = []
    for name in names:
        kind = KINDS[name]
        samples.append(encode_sample(processor, kind, scenes=make_scenes(kind, tile_size=processor.options.tile_size, rng=rng), name=name))
    return task.collator(row_length=row_length)(samples)


def _text_tokens(sample: Sample) -> int:
    return len(sample.input_ids) - len(sample.placeholder_index)


def _square(side: int, *, start: int, cells: int, grid: int = 16) -> np.ndarray:
    """(side, side) bool: a square of `cells` x `cells` token cells."""
    mask = np.zeros((side, side), bool)
    first, last = start * side // grid, (start + cells) * side // grid
    mask[first:last, first:last] = True
    return mask
