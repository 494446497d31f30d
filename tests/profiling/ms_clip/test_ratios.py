"""Both sides of each ratio of MS-CLIP do the same, and its command lists them alone."""

from importlib.util import find_spec
from typing import Any

import pytest

from profiling.ratios.ratio import Effort, Pair, build_ratio, difference, load_ratios

SIZES: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 49_408, "width": 64, "heads": 1, "layers": 1},
}


def test_the_ratios_of_a_system_are_listed_alone() -> None:
    assert load_ratios("ms_clip") == ["C1", "C2", "C3", "C4"]
    assert not set(load_ratios("earthmind")) & set(load_ratios("ms_clip"))


@pytest.mark.parametrize(("name", "choices"), [("C1", {"tokens": 24}), ("C2", {"tokens": 9}), ("C3", {"tokens": 9, "chunk": 2})])
def test_loss_and_gradients_of_both_sides_are_equal(name: str, choices: dict[str, int]) -> None:
    if find_spec("open_clip") is None:
        pytest.skip("OpenCLIP is not installed: bash tools/setup_env.sh --extras train,eval,open_clip,dev (CONTRIBUTING.md)")
    ratio = build_ratio("ms_clip", {"type": name, "sizes": SIZES, "pairs": 5, **choices})
    assert isinstance(ratio, Pair)
    first, second = ratio.prepare("reference")(), ratio.prepare("ours")()
    assert all(part.abs().max() > 0 for part in first)  # type: ignore[union-attr]
    assert difference(first, second) <= 1e-5
    other = build_ratio("ms_clip", {"type": name, "sizes": SIZES, "pairs": 4, **choices}).prepare("ours")()
    assert difference([first[0]], [other[0]]) > 1e-3, "another batch has another loss"  # type: ignore[index]


def test_batches_classify_as_single_files_do() -> None:
    calls, loop = build_ratio("ms_clip", {"type": "C4", "chips": 12, "alone": 2, "batch_size": 5}).measure(Effort(repeats=1))
    assert loop.note == "12 chips, 0 classified otherwise" and loop.ours == calls.ours > 0
    assert calls.reference > 2 * calls.ours, "a call embeds the texts of all classes"
