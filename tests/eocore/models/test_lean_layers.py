"""Norms and gated units that keep less: the same results and gradients, and fewer bytes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from eocore.errors import ConfigError
from eocore.models.lean_layers import make_lean
from eocore.models.lora import add_lora

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 50,
    "initializer_range": 0.2,
}
KINDS = {"qwen2": (Qwen2ForCausalLM, Qwen2Config), "qwen3": (Qwen3ForCausalLM, Qwen3Config), "llama": (LlamaForCausalLM, LlamaConfig)}
every_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind: str, *, lora: bool = False, dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    cls, config = KINDS[kind]
    model: nn.Module = cls(config(**SIZES)).to(dtype)
    if lora:
        model.requires_grad_(False)
        add_lora(model, rank=4, dropout=0.0)
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)  # norms begin at one, LoRA's second factor at zero
    return model


def learn(model: nn.Module) -> tuple[Tensor, dict[str, Tensor], int]:
    """Loss, gradients, and bytes that were kept for backward beside the weights, each storage once."""
    ids = torch.randint(0, 50, (2, 24), generator=torch.manual_seed(1))
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss: Tensor = model(input_ids=ids, labels=ids).loss
    loss.backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return loss.detach(), gradients, sum(nbytes for storage, nbytes in kept.items() if storage not in weights)


@every_kind
@pytest.mark.parametrize("lora", [False, True], ids=["all weights", "lora"])
def test_loss_and_gradients_stay_and_less_is_kept(kind: str, lora: bool) -> None:
    plain, lean = make(kind, lora=lora), make(kind, lora=lora)
    names = set(lean.state_dict())
    assert make_lean(lean) >= 2 * 3 + 1 and set(lean.state_dict()) == names
    (loss, gradients, kept), (lean_loss, lean_gradients, lean_kept) = learn(plain), learn(lean)
    torch.testing.assert_close(lean_loss, loss)
    assert set(lean_gradients) == set(gradients) and (len(gradients) > 20)
    for name, gradient in gradients.items():
        assert (lean_gradients[name] - gradient).norm() < 1e-5 * gradient.norm(), name
    assert lean_kept < 0.9 * kept


@pytest.mark.parametrize("lora", [False, True], ids=["all weights", "lora"])
def test_in_half_precision_they_round_alike_and_keep_less_still(lora: bool) -> None:
    plain, lean = make("qwen3", lora=lora, dtype=torch.bfloat16), make("qwen3", lora=lora, dtype=torch.bfloat16)
    make_lean(lean)
    (loss, gradients, kept), (lean_loss, lean_gradients, lean_kept) = learn(plain), learn(lean)
    assert lean_kept < 0.8 * kept
    torch.testing.assert_close(lean_loss, loss)
    for name, gradient in gradients.items():
        assert (lean_gradients[name] - gradient).norm() < 0.02 * gradient.norm(), name


@every_kind
def test_without_gradients_results_are_bit_by_bit_the_same(kind: str, read_logits: Callable[[nn.Module], Tensor]) -> None:
    plain, lean = make(kind), make(kind)
    make_lean(lean)
    assert torch.equal(read_logits(plain), read_logits(lean))


@pytest.fixture
def read_logits() -> Callable[[nn.Module], Tensor]:
    @torch.no_grad()
    def read(model: nn.Module) -> Tensor:
        logits: Tensor = model(input_ids=torch.arange(20)[None]).logits
        return logits

    return read


def test_what_it_cannot_change_is_said() -> None:
    with pytest.raises(ConfigError, match=r"GemmaForCausalLM has no norms or gated units of Qwen2, Qwen3 or Llama\. Leave it out"):
        make_lean(GemmaForCausalLM(GemmaConfig(**SIZES)))
    with pytest.raises(ConfigError, match="activation gelu, expected silu"):
        make_lean(Qwen2ForCausalLM(Qwen2Config(**SIZES, hidden_act="gelu")))
