"""Activation checkpointing: less is kept, the gradients are the same, nothing warns."""

import warnings
from functools import partial

import torch
from transformers import Qwen2Config, Qwen2Model

from eocore.models.recompute import recompute_activations

SIZES = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1}


def kept_bytes_and_gradients(model: Qwen2Model) -> tuple[int, dict[str, torch.Tensor]]:
    kept = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    embeddings = torch.randn(1, 24, 16, generator=torch.Generator().manual_seed(1))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
    before = kept
    output.square().sum().backward()
    return before, {name: part.grad.clone() for name, part in model.named_parameters() if part.grad is not None}


def test_layers_keep_less_and_learn_the_same() -> None:
    torch.manual_seed(0)
    model = Qwen2Model(Qwen2Config(num_hidden_layers=3, **SIZES)).train()
    everything, expected = kept_bytes_and_gradients(model)
    model.zero_grad(set_to_none=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recompute_activations(model)
    little, found = kept_bytes_and_gradients(model)
    assert little < everything / 2
    assert set(found) == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=partial("{}: {}".format, name))
