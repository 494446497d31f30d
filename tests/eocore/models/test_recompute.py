"""Activation checkpointing: the fewer is kept the more is computed again, the gradients are the same, nothing warns."""

import warnings
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import Qwen2Config, Qwen2Model

from eocore.errors import ConfigError
from eocore.models.lora import add_lora
from eocore.models.recompute import KINDS, checkpointing_kind, recompute_activations
from eocore.train.planning.memory import LiveMemory

WIDTH, DEEP, TOKENS = 32, 96, 48
SIZES = {"vocab_size": 32, "hidden_size": WIDTH, "intermediate_size": DEEP, "num_attention_heads": 2, "num_key_value_heads": 1}


class Products(TorchDispatchMode):
    """Counts attention kernels and matrix products, by what they are."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = {"attention": 0, "deep": 0, "narrow": 0}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if "attention" in name and "backward" not in name:
            self.counts["attention"] += 1
        elif name.startswith(("aten.mm.", "aten.addmm.")):
            left = args[1 if "addmm" in name else 0]
            self.counts["deep" if left.shape[-1] >= WIDTH else "narrow"] += 1
        return func(*args, **(kwargs or {}))


def make_model(kind: str, *, lora: bool) -> Qwen2Model:
    torch.manual_seed(0)
    model = Qwen2Model(Qwen2Config(num_hidden_layers=3, attn_implementation="sdpa", **SIZES)).train()
    if lora:
        add_lora(model, rank=4, alpha=8, dropout=0.1)
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                torch.nn.init.normal_(parameter, std=0.1)
    recompute_activations(model, kind)
    return model


def step(model: Qwen2Model) -> tuple[int, float, dict[str, torch.Tensor], dict[str, int]]:
    """(bytes kept for backward, loss, gradients, operators of backward)."""
    embeddings = torch.randn(1, TOKENS, WIDTH, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)  # of what LoRA drops
    with LiveMemory([*model.parameters(), *model.buffers(), embeddings]) as memory:
        loss = model(inputs_embeds=embeddings, use_cache=False).last_hidden_state.square().sum()
        kept = memory.now
    with Products() as products:
        loss.backward()
    gradients = {name: part.grad.clone() for name, part in model.named_parameters() if part.grad is not None}
    return kept, loss.item(), gradients, products.counts


@pytest.mark.usefixtures("one_thread")  # the same operations on tensors of the same layout, so bits can be compared
@pytest.mark.parametrize("lora", [False, True], ids=["all trained", "lora"])
def test_less_is_kept_and_the_same_is_learned(lora: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = {kind: step(make_model(kind, lora=lora)) for kind in KINDS}
    kept = {kind: result[0] for kind, result in found.items()}
    print(kept)
    assert kept["none"] > 1.2 * kept["selective"] > 1.2 * kept["attention"] > kept["full"]
    _, loss, gradients, _ = found["none"]
    for kind in KINDS[1:]:
        assert found[kind][1] == loss
        assert set(found[kind][2]) == set(gradients) != set()
        for name, gradient in gradients.items():
            torch.testing.assert_close(found[kind][2][name], gradient, rtol=0, atol=0, msg=f"{kind}: {name} differs")


def test_attention_alone_is_not_computed_again() -> None:
    counts = {kind: step(make_model(kind, lora=True))[3] for kind in ("attention", "full")}
    assert counts["attention"] == counts["full"] | {"attention": 0}


def test_selective_computes_no_attention_and_no_deep_product_again() -> None:
    counts = {kind: step(make_model(kind, lora=True))[3] for kind in KINDS}
    assert counts["none"]["attention"] == counts["selective"]["attention"] == 0 < counts["full"]["attention"]
    assert counts["selective"]["deep"] < counts["full"]["deep"]
    again = counts["selective"]["narrow"] - counts["none"]["narrow"]
    assert again == counts["full"]["narrow"] - counts["none"]["narrow"] > 0, "the second product of LoRA is cheap"
    assert counts["selective"]["deep"] == counts["none"]["deep"]


def test_layers_that_are_not_trained_are_not_computed_again_in_use() -> None:
    model = make_model("selective", lora=False).eval()
    with torch.no_grad(), Products() as products:
        model(inputs_embeds=torch.ones(1, 4, WIDTH), use_cache=False)
    assert products.counts["attention"] == 3


def test_the_choice_is_one_of_the_kinds_or_a_truth() -> None:
    assert [checkpointing_kind(choice) for choice in (False, True, *KINDS)] == ["none", "full", *KINDS]
    with pytest.raises(ConfigError, match="gradient_checkpointing is 'some'; choices: none, selective, attention, full"):
        checkpointing_kind("some")
