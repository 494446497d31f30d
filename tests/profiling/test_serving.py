import asyncio
from pathlib import Path

import pytest
from served_models import make_config, make_fields, make_tiny, make_tokenizer, words_model  # noqa: F401  (fixtures)

from profiling.serving import Load, Measured, compare, picture_url, told_address


def test_pictures_differ() -> None:
    assert len({picture_url(number, 16) for number in range(20)}) == 20


def test_a_line_tells_percentiles() -> None:
    line = Measured(first_s=[0.5], whole_s=[1.0, 3.0], errors=["x"], wall_s=4.0, memory_mib=[100, 101]).line("16")
    assert line.split() == ["16", "1", "0.5", "0.500", "0.500", "2.000", "2.980", "100", "101"]


@pytest.mark.slow
def test_a_thousand_requests_without_an_error_in_flat_memory_and_twice_as_many_together(words_model: Path) -> None:  # noqa: F811
    found = asyncio.run(compare(Load(model=words_model, tokens=16)))
    for measured in found.values():
        assert not measured.errors and len(measured.whole_s) == 1000
        early, end = measured.memory_mib
        assert end < 1.1 * early
    assert found["joined"].per_second > 2 * found["one by one"].per_second


def test_a_request_has_the_same_length_on_every_side() -> None:
    load = Load(model=Path("m"), tokens=100)
    lengths = [load.length(number) for number in range(50)]
    assert lengths == [load.length(number) for number in range(50)] and 10 <= min(lengths) < 30 < 80 < max(lengths) <= 100


def test_the_address_stands_behind_what_is_loaded() -> None:
    assert (
        told_address(["loading model words (model 1 of 2)\n", "serving on http://127.0.0.1:8000; Ctrl-C ends it\n"])
        == "http://127.0.0.1:8000"
    )
    with pytest.raises(SystemExit, match="the server did not start"):
        told_address(["loading model words\n"])
