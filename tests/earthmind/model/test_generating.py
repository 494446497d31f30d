"""The same tokens and masks from a compiled decode step."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from earthmind.predictor import PreparedRecord, RecordAnswerer

NEW_TOKENS = 6
COMPILERS = [
    "eager",
    pytest.param(
        "inductor",
        marks=[pytest.mark.slow, pytest.mark.skipif(shutil.which("c++") is None, reason="compiling for a CPU needs a C++ compiler")],
    ),
]
"""Both capture the decode step; inductor makes kernels of it, too."""


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def ask(made: Any, scenes: Any, generation: dict[str, Any]) -> list[Any]:
    answerer = RecordAnswerer(made.model, made.processor, max_new_tokens=NEW_TOKENS, generation=generation)
    texts = ("<image>\nsegment the water.", "<image>\nWhat is the area, and what is it used for?")
    encoded = [made.processor.encode(shown, [("user", text)], for_generation=True) for text, shown in zip(texts, scenes, strict=True)]
    return answerer.answer([PreparedRecord(f"s{number}", sample, (48, 48)) for number, sample in enumerate(encoded)])


@pytest.mark.parametrize("backend", COMPILERS)
def test_a_compiled_decode_step_gives_the_same_tokens_and_masks(
    make_tiny: Callable[..., Any], make_scenes: Callable[..., Any], backend: str
) -> None:
    made = make_tiny()
    made.model.generation_config.sequence_bias = [[[made.processor.seg_token_id], 2.0]]
    scenes = [make_scenes("sar"), make_scenes("rgb", seed=1)]
    usual = ask(made, scenes, {})
    assert not counters["stats"]["unique_graphs"]
    compiled = ask(made, scenes, {"compile": {"backend": backend}})
    assert counters["stats"]["unique_graphs"] == 1 and not counters["graph_break"]
    assert [answer.text for answer in compiled] == [answer.text for answer in usual]
    for ours, theirs in zip(compiled, usual, strict=True):
        torch.testing.assert_close(ours.mask_logits, theirs.mask_logits, atol=1e-3, rtol=1e-3)
    again = ask(made, scenes, {"compile": {"backend": backend}})
    assert counters["stats"]["unique_graphs"] == 1  # a batch of the same shape is not compiled anew
    assert [answer.text for answer in again] == [answer.text for answer in usual]
