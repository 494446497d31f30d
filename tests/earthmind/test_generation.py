"""Options of generation: what is refused, and the same tokens and masks from a compiled decode step."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters
from transformers import CompileConfig

from earthmind.predictor import PreparedRecord, RecordAnswerer
from eocore.errors import ConfigError
from eocore.predict.generation import generation_settings

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


def test_compile_needs_no_more_than_its_name() -> None:
    settings = generation_settings({"compile": True, "repetition_penalty": 1.1})
    assert settings == {"repetition_penalty": 1.1, "cache_implementation": "static", "compile_config": CompileConfig()}
    assert generation_settings({"compile": False, "cache_implementation": "static"}) == {
        "cache_implementation": "static",
        "disable_compile": True,
    }
    assert generation_settings({}) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"temprature": 0.5},
            r"option temprature=0\.5: there is no such option\. Options: do_sample, .* Beside them compile=true compiles",
        ),
        ({"validate": True}, "option validate=True: there is no such option"),
        ({"max_new_tokens": 5}, "option max_new_tokens=5: it has an option of its own"),
        ({"num_beams": 2}, "option num_beams=2: masks belong to one answer"),
        ({"prompt_lookup_num_tokens": 3}, "option prompt_lookup_num_tokens=3: answers are written token by token"),
        ({"temperature": "hot"}, "option temperature='hot': expected a number above 0"),
        ({"compile": True, "cache_implementation": "dynamic"}, "a compiled step needs a cache of fixed size"),
        ({"compile": "yes"}, "generation option compile='yes': expected true, false or fields of CompileConfig"),
        ({"compile": {"modus": "x"}}, "expected true, false or fields of CompileConfig .*modus"),
    ],
)
def test_what_is_wrong_in_options_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generation_settings(options)
