"""The needle test, on a predictor whose answers are known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eocore.errors import ConfigError, DataError
from eocore.evaluate.protocols import AnswersLong, LongAnswers
from eocore.long_inputs.needle_report import byte_slope, write_needle_report
from eocore.long_inputs.needle_test import NeedleOptions, default_methods, run_needle_test, tiles_of_folder
from eocore.synthetic.needles import QUESTIONS, make_needle

LAND = [np.full((96, 96, 3), 120, np.uint8)]
OPTIONS = NeedleOptions(lengths=[2, 4], depths=[0, 1], ratios=[1, 4], methods=["compress", "drop"], samples=3, batch_size=2)


class Looks:
    """Finds the sign's colour by the hue of what is not land; with `drop`, never."""

    can_compress, window_side = True, 96

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []

    def answer_long(self, pictures: Sequence[np.ndarray], text: str, *, num_tiles: int, long: str, max_new_tokens: int) -> LongAnswers:
        assert text == QUESTIONS["colour"] and max_new_tokens > 1
        self.asked.append((len(pictures), long))
        rng_names = [known[picture.tobytes()] for picture in pictures]
        texts = ["Nothing." if long.startswith("drop") else f" {name}." for name in rng_names]
        ratio = int(long.partition(":")[2] or 1)
        return LongAnswers(texts, 10 + 36 * num_tiles // ratio, 100.0 * (10 + 36 * num_tiles / ratio))


known: dict[bytes, str] = {}


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> Looks:
    from eocore.long_inputs import needle_test

    def remember(*arguments: object, **choices: object) -> object:
        needle = make_needle(*arguments, **choices)  # type: ignore[arg-type]
        known[needle.picture.tobytes()] = needle.content["colour"]
        return needle

    monkeypatch.setattr(needle_test, "make_needle", remember)
    return Looks()


def test_every_cell_is_asked_and_scored_and_the_page_shows_it(predictor: Looks, tmp_path: Path) -> None:
    assert isinstance(predictor, AnswersLong)
    cells = run_needle_test(predictor, LAND, options=OPTIONS)
    assert [(cell.method, cell.ratio) for cell in cells[:3]] == [("off", 1), ("compress", 4), ("drop", 4)]
    assert len(cells) == 2 * 2 * 3
    assert all(cell.right == (0 if cell.method == "drop" else 3) and cell.count == 3 for cell in cells)
    assert predictor.asked[:2] == [(2, "off"), (1, "off")]
    assert byte_slope(cells, ("off", 1)) == pytest.approx(4 * byte_slope(cells, ("compress", 4)))
    page = write_needle_report(tmp_path, cells, options=OPTIONS, model="tiny").read_text()
    assert "Chance is 12.5 %" in page and "compression tokens, ratio 4" in page and "1/4.0" in page
    assert "100.0 (61 to 100)" in page and "0.0 (0 to 39)" in page
    assert len((tmp_path / "cells.jsonl").read_text().splitlines()) == 12


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


def test_what_cannot_be_asked_says_why() -> None:
    with pytest.raises(ConfigError, match="expected lengths and ratios from 1 on, and depths from 0"):
        NeedleOptions(lengths=[4], depths=[2], ratios=[1], methods=["drop"])
    assert default_methods(True)[0] == "compress"
    assert "compress" not in default_methods(False)
