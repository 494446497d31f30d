"""Answers about pictures of many tiles, and what is remembered of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from earthmind.long_inputs.answers import answer_long, most_tiles, set_tiles
from eocore.errors import DataError
from eocore.portable.series import Moment


@pytest.fixture
def made(make_tiny: Callable[..., Any]) -> Any:
    found = make_tiny(compression={"window": 16, "ratios": [2, 4]})
    found.model._processor = found.processor
    return found


def test_pictures_are_cut_into_as_many_tiles_and_compression_remembers_less(made: Any) -> None:
    pictures = [np.random.default_rng(seed).integers(0, 256, (64, 128, 3), np.uint8) for seed in range(2)]
    found = {
        how: answer_long(made.model, pictures, text="Which colour?", num_tiles=8, long=how, max_new_tokens=3)
        for how in ("off", "compress:4", "pool:4", "drop:4")
    }
    assert {len(answers.texts) for answers in found.values()} == {2}
    shorter = found["off"].tokens - 8 * 16 + 8 * 4
    for how in ("compress:4", "pool:4", "drop:4"):
        # answers may end one token apart
        assert abs(found[how].tokens - shorter) <= 2
        assert found[how].cache_bytes < 0.6 * found["off"].cache_bytes
    assert made.processor.options.max_tiles == 1
    with pytest.raises(DataError, match="ratio 3 does not divide the window of 16"):
        answer_long(made.model, pictures, text="Which colour?", num_tiles=8, long="compress:3", max_new_tokens=3)


def test_the_number_of_tiles_is_set_for_questions_that_follow(made: Any) -> None:
    set_tiles(made.model, 6)
    assert made.processor.options.max_tiles == 6


def test_series_are_read_a_tile_each_date(made: Any) -> None:
    rng = np.random.default_rng(0)
    series = [
        [Moment(f"2021-0{month}-01", {"rgb": rng.integers(0, 256, (40, 48, 3), np.uint8)}) for month in range(1, 6)] for _ in range(2)
    ]
    whole = answer_long(made.model, series, text="Which colour?", num_tiles=5, long="off", max_new_tokens=3)
    short = answer_long(made.model, series, text="Which colour?", num_tiles=5, long="compress:4", max_new_tokens=3)
    assert len(whole.texts) == 2
    assert abs(whole.tokens - short.tokens - 5 * 12) <= 2


def test_the_most_tiles_are_those_whose_tokens_have_positions(made: Any) -> None:
    config = made.model.config  # 1,024 positions, 16 tokens a tile
    assert [most_tiles(config, long) for long in ("off", "compress:2", "pool:16", "drop:4")] == [63, 127, 1023, 255]
    with pytest.raises(DataError, match="ratio 3 does not divide the window of 16"):
        most_tiles(config, "compress:3")
