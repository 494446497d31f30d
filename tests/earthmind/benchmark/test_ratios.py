"""Both sides of each ratio do the same, and at sizes of a moment the needed one is the smaller already where that can be told."""

from typing import Any

import pytest

from eocore.benchmark.isolation import measure_sides
from eocore.benchmark.ratios import Pair, build_ratio, difference, load_ratios

SIZES: dict[str, dict[str, Any]] = {
    "G1": {"tokens": 256, "vocabulary": 20_000, "width": 16, "rows": 8},
    "G2": {"layers": 3, "width": 32, "heads": 4, "feed_forward": 64, "tokens": 256, "segs": 3},
}


@pytest.mark.parametrize("name", SIZES)
def test_both_sides_give_the_same(name: str) -> None:
    assert name in load_ratios("earthmind")
    ratio = build_ratio("earthmind", {"type": name, **SIZES[name]})
    assert isinstance(ratio, Pair)
    assert difference(ratio.prepare("reference")(), ratio.prepare("ours")()) <= ratio.tolerance


def test_memory_is_that_of_a_process_of_its_own() -> None:
    peaks = measure_sides("earthmind", {"type": "G1", **SIZES["G1"]})
    # 256 x 20,000 float32 are 20 MiB; the reference holds some copies of them
    assert peaks["reference"].rise > 3 * peaks["ours"].rise
    assert peaks["reference"].rise > 40 * 2**20
