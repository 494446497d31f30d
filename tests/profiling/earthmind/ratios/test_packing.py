"""What packing saves, counted at sizes of a moment."""

from typing import Any

import pytest

from profiling.ratios.ratio import Effort, Reading, build_ratio, load_ratios


def measure(name: str, **sizes: Any) -> list[Reading]:
    assert name in load_ratios("earthmind")
    return build_ratio("earthmind", {"type": name, **sizes}).measure(Effort(repeats=2, warm_up=0))


def test_operators_of_a_pack_are_shared_by_its_samples() -> None:
    sizes = {"layers": 3, "width": 16, "heads": 2, "key_heads": 1, "feed_forward": 16, "vocabulary": 16}
    kernel, single = measure("G8", tokens=16, samples=5, sizes=sizes)
    assert 4 < kernel.reached <= 6
    assert 1 < single.reached < kernel.reached, "attention alone is computed sample by sample"


def test_uneven_samples_learn_the_same_alone_padded_and_packed() -> None:
    alone, padded = measure("G9", samples=6, longest=60, sizes={"layers": 2})
    assert "equal to" in alone.note and padded.reference > 0


def test_packs_of_like_cost_keep_ranks_at_work() -> None:
    few, many, packs = measure("G10", samples=3000)
    assert few.reference == many.reference < 0.4 < 0.5 < few.ours < many.ours <= 1
    assert packs.ours > 0.95


def test_a_late_start_is_a_look_up() -> None:
    (start,) = measure("G13", step=400, samples=8000)
    assert start.ours < 2.0
    assert start.reference == pytest.approx(400 * 0.032 / 4)
