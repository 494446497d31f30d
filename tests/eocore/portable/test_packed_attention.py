"""Attention sample by sample gives what the masks of transformers give, and looks at nothing across a border."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch
from tolerances import ACROSS_LAYOUTS
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from eocore.portable import packed_attention
from eocore.portable.packed_attention import (
    PACKED,
    QuestionsError,
    boundary_arguments,
    find_boundaries,
    packed_mask,
    question_arguments,
    use_packed_attention,
)

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
ROWS = ((9, 14, 1), (24,), (2, 22))
"""Tokens of the samples of each row."""
KERNEL = "torch.nn.functional.scaled_dot_product_attention"


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def model(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    made: Any = {
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(vocab_size=50, **SIZES)),
        "llama": lambda: LlamaForCausalLM(LlamaConfig(vocab_size=50, **SIZES)),
    }[request.param]()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


@pytest.fixture(autouse=True)
def as_it_was(model: Any) -> Iterator[None]:
    yield
    model.set_attn_implementation("sdpa")


def positions() -> Tensor:
    return torch.stack([torch.cat([torch.arange(length) for length in row]) for row in ROWS])


def states(model: Any, kernel: str, embeddings: Tensor, **boundaries: Any) -> Tensor:
    model.set_attn_implementation(kernel)
    return model.model(inputs_embeds=embeddings, position_ids=positions(), use_cache=False, **boundaries).last_hidden_state


@pytest.mark.parametrize("told", [True, False], ids=["boundaries told", "boundaries found"])
def test_states_and_gradients_do_not_depend_on_the_kernel(model: Any, told: bool) -> None:
    embeddings = torch.randn(3, 24, 32, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(3, 24, 32, generator=torch.Generator().manual_seed(1))
    boundaries = boundary_arguments(find_boundaries(positions()), embeddings.device) if told else {}
    results = {}
    for kernel in ("eager", "sdpa", PACKED):
        given = embeddings.clone().requires_grad_()
        found = states(model, kernel, given, **(boundaries if kernel == PACKED else {}))
        results[kernel] = (found.detach(), *torch.autograd.grad((found * weights).sum(), [given, *model.model.layers.parameters()]))
    for kernel in ("sdpa", PACKED):
        for value, expected in zip(results[kernel], results["eager"], strict=True):
            torch.testing.assert_close(value, expected, **ACROSS_LAYOUTS.of_size(expected))


@torch.no_grad()
def test_independent_questions_see_what_they_share_and_themselves(model: Any) -> None:
    """One sample: 10 tokens that all share, questions of 4, 7 and 3; asked alone, each follows the 10."""
    starts, ends, shared = [10, 14, 21], [14, 21, 24], 10
    row = torch.randn(1, 24, 32, generator=torch.Generator().manual_seed(0))
    positions = torch.arange(24)
    for start, end in zip(starts, ends, strict=True):
        positions[start:end] = torch.arange(shared, shared + end - start)
    model.set_attn_implementation(PACKED)
    told = boundary_arguments([0, 24], row.device) | question_arguments({0: starts}, [0, 24], config=model.config, device=row.device)
    joined = model.model(inputs_embeds=row, position_ids=positions[None], use_cache=False, **told).last_hidden_state
    for start, end in zip(starts, ends, strict=True):
        alone = torch.cat([row[:, :shared], row[:, start:end]], dim=1)
        expected = model.model(inputs_embeds=alone, use_cache=False).last_hidden_state
        torch.testing.assert_close(joined[:, start:end], expected[:, shared:], **ACROSS_LAYOUTS.of_size(expected))
    torch.testing.assert_close(joined[:, :shared], expected[:, :shared], **ACROSS_LAYOUTS.of_size(expected))


def test_other_attention_refuses_independent_questions(model: Any) -> None:
    model.set_attn_implementation("eager")
    assert question_arguments({}, [0, 24], config=model.config, device=torch.device("cpu")) == {"visible": {}}
    with pytest.raises(QuestionsError, match=r"they would see each other. Take attn_implementation 'sdpa', or set independent=False"):
        question_arguments({0: [10]}, [0, 24], config=model.config, device=torch.device("cpu"))


@torch.no_grad()
def test_work_grows_with_the_samples_not_with_the_row(model: Any) -> None:
    def scores(kernel: str) -> list[int]:
        """Queries x keys of each call."""
        with mock.patch(KERNEL, wraps=torch.nn.functional.scaled_dot_product_attention) as called:
            states(model, kernel, torch.randn(3, 24, 32))
        return [call.args[0][..., 0].shape.numel() // 4 * call.args[1].shape[2] for call in called.call_args_list]

    layers = SIZES["num_hidden_layers"]
    assert scores("sdpa") == [3 * 24**2] * layers
    assert scores(PACKED) == [length**2 for row in ROWS for length in row] * layers


@torch.no_grad()
def test_rows_of_one_sample_go_as_one(model: Any) -> None:
    model.set_attn_implementation(PACKED)
    with mock.patch(KERNEL, wraps=torch.nn.functional.scaled_dot_product_attention) as called:
        model.model(inputs_embeds=torch.randn(3, 24, 32), use_cache=False)
    assert called.call_count == SIZES["num_hidden_layers"]


@torch.no_grad()
def test_padding_and_a_cache_are_left_to_transformers(model: Any) -> None:
    ids = torch.randint(1, 50, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    written = {}
    for kernel in ("sdpa", PACKED):
        model.set_attn_implementation(kernel)
        written[kernel] = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=8, do_sample=False, pad_token_id=0)
    assert torch.equal(written["sdpa"], written[PACKED])


def test_only_sdpa_over_all_that_came_before_is_replaced() -> None:
    def kernel(attention: str, **choices: Any) -> str:
        model = Qwen2ForCausalLM(Qwen2Config(vocab_size=50, attn_implementation=attention, **SIZES, **choices))
        use_packed_attention(model)
        return str(model.config._attn_implementation)

    assert (kernel("sdpa"), kernel("eager")) == (PACKED, "eager")
    assert kernel("sdpa", use_sliding_window=True, sliding_window=4, max_window_layers=1) == "sdpa"


def test_a_saved_model_does_not_ask_for_it() -> None:
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=50, **SIZES))
    use_packed_attention(model)
    assert PACKED not in model.config.to_json_string()


def test_borders_reach_flash_attention_as_cumulative_lengths() -> None:
    given = boundary_arguments([0, 9, 23, 24, 48], torch.device("cpu"))
    assert given["cu_seq_lens_q"].tolist() == given["cu_seq_lens_k"].tolist() == given["sequence_boundaries"] == [0, 9, 23, 24, 48]
    assert given["cu_seq_lens_q"].dtype == torch.int32
    assert given["max_length_q"] == given["max_length_k"] == 24


def test_there_is_a_mask_only_where_one_is_needed() -> None:
    assert packed_mask(q_length=8, kv_length=8) is None


@pytest.mark.gpu
def test_the_kernel_of_a_gpu_gives_the_same() -> None:
    generator = torch.Generator("cuda").manual_seed(0)
    query, key, value = (
        torch.randn(3, heads, 24, 64, device="cuda", dtype=torch.bfloat16, generator=generator, requires_grad=True) for heads in (4, 2, 2)
    )
    module: Any = torch.nn.Module()
    module.num_key_value_groups = 2
    boundaries = boundary_arguments(find_boundaries(positions()), torch.device("cuda"))
    results = []
    for has_kernel in (True, False):
        with mock.patch.object(packed_attention, "_has_kernel", return_value=has_kernel):
            found, _ = packed_attention.packed_attention(module, query, key, value, None, **boundaries)
        results.append([found, *torch.autograd.grad(found.float().square().sum(), [query, key, value])])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=3e-2, rtol=3e-2)
