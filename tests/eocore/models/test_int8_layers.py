"""Layers in 8 bits: close to what they were, smaller, and only those that are meant."""

import pytest
import torch
from torch import nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from eocore.models.int8_layers import Int8Linear, hold_in_int8


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_is_close_to_what_it_was(bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 48, bias=bias)
    with torch.no_grad():
        layer.weight[3] *= 100  # a scale for each output: the others keep theirs
        layer.weight[4] = 0
    made, states = Int8Linear(layer), torch.randn(2, 5, 64)
    expected, found = layer(states), made(states)
    assert found.shape == expected.shape and found.dtype == torch.float32
    deviation = (found - expected).std((0, 1)) / expected.std((0, 1)).clamp(min=1e-6)
    assert 0 < deviation.max() < 0.05
    assert not list(made.parameters())


def test_the_output_embedding_stays() -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=90, head_dim=16, **sizes)).eval()
    ids = torch.arange(20)[None] * 4
    with torch.no_grad():
        before = model(ids).logits
        assert hold_in_int8(model) == 2 * 7
        deviation = (model(ids).logits - before).std() / before.std()
    assert type(model.lm_head) is nn.Linear and isinstance(model.model.layers[0].mlp.up_proj, Int8Linear)
    assert 0 < deviation < 0.1
    assert hold_in_int8(model) == 0
