"""The needle test, on a predictor whose answers are known."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eocore.errors import ConfigError
from eocore.evaluate.protocols import AnswersLong, LongAnswers, Shown
from eocore.long_inputs.haystacks import DATES, SignHaystack, Trial
from eocore.long_inputs.needle_report import byte_slope, write_needle_report
from eocore.long_inputs.needle_test import NeedleOptions, check_lengths, default_methods, run_needle_test
from eocore.synthetic.needles import QUESTIONS

LAND = [np.full((96, 96, 3), 120, np.uint8)]
OPTIONS = NeedleOptions(lengths=[2, 4], depths=[0, 1], ratios=[1, 4], methods=["compress", "drop"], batch_size=2)


class Looks:
    """Knows the answer about whatever it is shown; with `drop`, never."""

    can_compress, window_side = True, 96

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []
        self.lengths: list[int] = []
        self.known: dict[int, str] = {}

    def answer_long(self, shown: Sequence[Shown], text: str, *, num_tiles: int, long: str, max_new_tokens: int) -> LongAnswers:
        assert text.startswith(QUESTIONS["colour"][:30]) and max_new_tokens > 1
        self.asked.append((len(shown), long))
        self.lengths.append(num_tiles)
        texts = ["Nothing." if long.startswith("drop") else f" {self.known[id(each)].title()}." for each in shown]
        ratio = int(long.partition(":")[2] or 1)
        return LongAnswers(texts, 10 + 36 * num_tiles // ratio, 100.0 * (10 + 36 * num_tiles / ratio))

    def most_tiles(self, long: str) -> int:
        return 56 * int(long.partition(":")[2] or 1)


class Told(SignHaystack):
    """Tells the predictor the answers."""

    predictor: Looks
    kept: list[Trial]

    def trials(self, length: int, depth: float) -> list[Trial]:
        found = super().trials(length, depth)
        self.kept.extend(found)
        self.predictor.known.update({id(trial.shown): trial.answer for trial in found})
        return found


def told(predictor: Looks, **choices: str) -> Told:
    haystack = Told(tiles=LAND, samples=3, **choices)  # type: ignore[arg-type]
    object.__setattr__(haystack, "predictor", predictor)
    object.__setattr__(haystack, "kept", [])
    return haystack


@pytest.mark.parametrize("unit", ["tiles", DATES])
def test_every_cell_is_asked_and_scored_and_the_page_shows_it(unit: str, tmp_path: Path) -> None:
    predictor = Looks()
    assert isinstance(predictor, AnswersLong)
    haystack = told(predictor, unit=unit)
    cells = run_needle_test(predictor, haystack, options=OPTIONS)
    assert [(cell.method, cell.ratio) for cell in cells[:3]] == [("off", 1), ("compress", 4), ("drop", 4)]
    assert len(cells) == 2 * 2 * 3
    assert all(cell.right == (0 if cell.method == "drop" else 3) and cell.count == 3 for cell in cells)
    assert predictor.asked[:2] == [(2, "off"), (1, "off")]
    assert predictor.lengths == sorted(predictor.lengths, reverse=True) and [cell.length for cell in cells] == [2] * 6 + [4] * 6
    assert byte_slope(cells, ("off", 1)) == pytest.approx(4 * byte_slope(cells, ("compress", 4)))
    page = write_needle_report(tmp_path, cells, haystack=haystack, model="tiny").read_text()
    assert "Chance is 12.5 %" in page and "compression tokens, ratio 4" in page and "1/4.0" in page and f"Costs at 4 {unit}" in page
    assert "100.0 (61 to 100)" in page and "0.0 (0 to 39)" in page
    assert len((tmp_path / "cells.jsonl").read_text().splitlines()) == 12


def test_lengths_beyond_the_positions_are_refused_before_anything_is_asked() -> None:
    predictor, haystack = Looks(), SignHaystack(tiles=LAND)
    check_lengths(predictor, haystack, options=OPTIONS)
    long = NeedleOptions(lengths=[4, 100_000], depths=[0], ratios=[1, 4], methods=["compress"])
    with pytest.raises(
        ConfigError, match=r"--lengths 100000: 100,000 tiles are more than the 56 whose tokens .* has positions for with off"
    ):
        check_lengths(predictor, haystack, options=long)
    short = NeedleOptions(lengths=[200], depths=[0], ratios=[4], methods=["compress"])
    check_lengths(predictor, haystack, options=short)
    with pytest.raises(ConfigError, match=r"than the 112 whose tokens .* with compress:2. Take shorter --lengths, or larger --ratios"):
        check_lengths(predictor, haystack, options=NeedleOptions(lengths=[200], depths=[0], ratios=[4, 2], methods=["compress"]))
    with pytest.raises(ConfigError, match=r"--lengths 200: 200 dates are more than the 56"):
        check_lengths(predictor, SignHaystack(tiles=LAND, unit=DATES), options=replace(OPTIONS, lengths=[200]))
    assert predictor.asked == []


def test_what_cannot_be_asked_says_why() -> None:
    with pytest.raises(ConfigError, match="expected lengths and ratios from 1 on, and depths from 0"):
        NeedleOptions(lengths=[4], depths=[2], ratios=[1], methods=["drop"])
    assert default_methods(True)[0] == "compress"
    assert "compress" not in default_methods(False)
