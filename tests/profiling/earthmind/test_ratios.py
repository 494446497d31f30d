"""Both sides of each ratio do the same, and at sizes of a moment the needed one is the smaller already where that can be told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forked
import pytest

from profiling.measures.isolation import measure_sides
from profiling.measures.memory import PeakMemory
from profiling.ratios.ratio import Effort, Pair, build_ratio, difference, load_ratios

ROOT = Path(__file__).resolve().parents[3]
SIZES: dict[str, dict[str, Any]] = {
    "G1": {"tokens": 256, "vocabulary": 20_000, "width": 16, "rows": 8},
    "G2": {"sizes": {"layers": 3, "width": 32, "heads": 4, "feed_forward": 64}, "tokens": 256, "segs": 3},
    "G5": {"segs": 3, "size": 64},
    "G6": {"sizes": {"layers": 2, "width": 32, "heads": 4, "feed_forward": 64}, "tokens": 40, "new_tokens": 4},
    "G7": {"sizes": {"layers": 2, "width": 32, "heads": 4, "feed_forward": 64}, "image_tokens": 60, "text_tokens": 8, "questions": 3},
    "L1": {"windows": 3, "window": 8, "sizes": {"layers": 2, "width": 32, "heads": 4, "feed_forward": 64}},
}


@pytest.mark.slow
def test_decoding_remembers_less_of_compressed_inputs() -> None:
    assert "L2" in load_ratios("earthmind")
    sizes = {"layers": 4, "width": 64, "heads": 4, "key_heads": 4, "feed_forward": 64}
    cached, resident = build_ratio("earthmind", {"type": "L2", "lengths": (512, 2048), "window": 64, "sizes": sizes}).measure(Effort())
    # 4 layers of keys and values, 64 float32 each
    assert (cached.reference, cached.ours) == pytest.approx((4 * 2 * 64 * 4, 4 * 2 * 64 * 4 / 8))
    assert cached.met and resident.quantity == "resident set"


@pytest.mark.parametrize("name", SIZES)
def test_both_sides_give_the_same(name: str) -> None:
    assert name in load_ratios("earthmind")
    ratio = build_ratio("earthmind", {"type": name, **SIZES[name]})
    assert isinstance(ratio, Pair)
    assert difference(ratio.prepare("reference")(), ratio.prepare("ours")()) <= ratio.tolerance


def forked_sides(system: str, ratio: dict[str, Any]) -> dict[str, PeakMemory]:
    """The same program as `measure_sides` runs, in processes that have imported what it needs."""
    peaks = {}
    for side in ("reference", "ours"):
        order = json.dumps({"system": system, "ratio": ratio, "side": side})
        done = forked.run(["-m", "profiling.measures.isolation", order], cwd=ROOT)
        assert done.returncode == 0, done.stderr
        peaks[side] = PeakMemory(**json.loads(done.stdout.splitlines()[-1]))
    return peaks


@pytest.mark.parametrize("measure", [forked_sides, pytest.param(measure_sides, marks=pytest.mark.slow)])
def test_memory_is_that_of_a_process_of_its_own(measure: Callable[[str, dict[str, Any]], dict[str, PeakMemory]]) -> None:
    peaks = measure("earthmind", {"type": "G1", **SIZES["G1"]})
    # 256 x 20,000 float32 are 20 MiB; the reference holds some copies of them
    assert peaks["reference"].rise - peaks["ours"].rise > 40 * 2**20
    if measure is measure_sides:  # a fork maps the pages of a library when it first calls it, on both sides
        assert peaks["reference"].rise > 3 * peaks["ours"].rise


@pytest.mark.parametrize(("name", "counts"), [("G3", (3, 2)), ("G4", (1, 0))])
def test_encoders_are_called_no_more_than_needed(make_fields: Callable[..., dict[str, Any]], name: str, counts: tuple[int, int]) -> None:
    fields = make_fields(tie=False)
    fields["text_config"]["vocab_size"] = 400
    task = {
        "model": fields,
        "tokenizer": {},
        "processor": {"max_tiles": 12},
        "trainable": ["seg_head.sam.mask_decoder", "projector"],
        "lora": {"rank": 2, "alpha": 4},
        "losses": {"num_points": 32},
    }
    calls, step = build_ratio("earthmind", {"type": name, "task": task}).measure(Effort(repeats=1))
    assert (calls.reference, calls.ours) == counts and calls.met
    assert step.reference > 0 and step.ours > 0
