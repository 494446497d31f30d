"""The needle test: a needle in a long input, asked for under every method, ratio, length and depth.

The same haystacks are asked about with every method and ratio, so that differences are theirs.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby

from eocore.errors import ConfigError
from eocore.evaluate.protocols import AnswersLong
from eocore.long_inputs.haystacks import Haystack, Trial
from eocore.portable.long_options import COMPRESS, OFF

LONGEST_ANSWER = 8
"""Tokens; a sign's name has fewer."""


@dataclass(frozen=True, kw_only=True)
class NeedleOptions:
    """What is asked.

    Attributes:
        lengths: of haystacks, in their unit.
        depths: where the needle lies, from 0 (first) to 1 (last).
        ratios: vision tokens for each one that is left; 1 asks once, with all tokens.
        methods: of `eocore.portable.long_options`.
        batch_size: haystacks asked about together.
    """

    lengths: Sequence[int]
    depths: Sequence[float]
    ratios: Sequence[int]
    methods: Sequence[str]
    batch_size: int = 4

    def __post_init__(self) -> None:
        if min(self.lengths) < 1 or not all(0 <= depth <= 1 for depth in self.depths) or min(self.ratios) < 1:
            raise ConfigError(
                f"lengths {list(self.lengths)}, depths {list(self.depths)}, ratios {list(self.ratios)}: expected lengths and ratios from 1 "
                "on, and depths from 0 (first) to 1 (last)."
            )

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


def check_lengths(predictor: AnswersLong, haystack: Haystack, *, options: NeedleOptions) -> None:
    """Raise ConfigError if a length is more than the haystack or, under one of the methods, the model's positions can hold.

    Needs no weights: it is asked before a long run begins.

    Raises:
        DataError: a method cannot be used with this model.
    """
    longest = max(options.lengths)
    tiles = haystack.tokens_of(longest)
    for method, ratio in options.asked():
        most = predictor.most_tiles(_long(method, ratio))
        if most is not None and tiles > most:
            what = haystack.unit if tiles == longest else "tiles"
            raise ConfigError(
                f"--lengths {longest}: {tiles:,} {what} are more than the {most:,} whose tokens the language model has positions for with "
                f"{_long(method, ratio)}. Take shorter --lengths, or larger --ratios alone (1 asks with all tokens)."
            )


def run_needle_test(
    predictor: AnswersLong, haystack: Haystack, *, options: NeedleOptions, on_cell: Callable[[], None] | None = None
) -> list[Cell]:
    """A cell for each method, ratio, length and depth; the longest are asked first, so that what does not fit is known at once.

    Args:
        predictor: of a system whose models read long inputs.
        haystack: that hides the needles.
        options: what is asked.
        on_cell: called after each, for a progress display.

    Raises:
        DataError: the model cannot take the images.
    """
    cells = []
    for length in sorted(options.lengths, reverse=True):
        for depth in options.depths:
            trials = haystack.trials(length, depth)
            for how in options.asked():
                cells.append(_ask(predictor, trials, options=options, place=(length, depth), how=how))
                if on_cell is not None:
                    on_cell()
    return sorted(cells, key=lambda cell: options.lengths.index(cell.length))


def _ask(
    predictor: AnswersLong, trials: Sequence[Trial], *, options: NeedleOptions, place: tuple[int, float], how: tuple[str, int]
) -> Cell:
    right, tokens, size, start = 0, 0.0, 0.0, time.perf_counter()
    for text, alike in groupby(trials, key=lambda trial: trial.text):
        same = list(alike)
        for first in range(0, len(same), options.batch_size):
            part = same[first : first + options.batch_size]
            shown = [trial.shown for trial in part]
            found = predictor.answer_long(shown, text, num_tiles=place[0], long=_long(*how), max_new_tokens=LONGEST_ANSWER)
            right += sum(trial.is_right(answer) for trial, answer in zip(part, found.texts, strict=True))
            tokens += found.tokens * len(part)
            size += found.cache_bytes * len(part)
    count = len(trials)
    seconds = (time.perf_counter() - start) / count
    return Cell(*how, *place, right, count, tokens / count, size / count, seconds)


def _long(method: str, ratio: int) -> str:
    return OFF if method == OFF else f"{method}:{ratio}"


def default_methods(can_compress: bool) -> tuple[str, ...]:
    """Compression, where the model can, and the controls at the same number of tokens."""
    return (COMPRESS, "pool", "drop") if can_compress else ("pool", "drop", "choose")
