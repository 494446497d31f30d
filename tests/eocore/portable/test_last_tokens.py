"""The last layer's MLP reads the last token alone, and nothing that is read further changes."""

import threading
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModel, LlamaConfig, Phi3Config, Qwen2Config, Qwen3Config

from eocore.portable.last_tokens import last_tokens_alone

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}
IDS = torch.arange(24).view(2, 12)


@pytest.fixture(params=[LlamaConfig, Qwen2Config, Qwen3Config, Phi3Config])
def decoder(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    return AutoModel.from_config(request.param(**SIZES)).eval()


@torch.no_grad()
def test_the_last_state_and_all_keys_and_values_stay(decoder: Any) -> None:
    seen: list[list[int]] = [[], []]
    for layer, lengths in zip(decoder.layers, seen, strict=True):
        layer.mlp.register_forward_hook(lambda _module, _args, out, lengths=lengths: lengths.append(out.shape[1]))
    whole = decoder(IDS, use_cache=True)
    with last_tokens_alone(decoder):
        read = decoder(IDS, use_cache=True)
    assert seen == [[12, 12], [12, 1]]
    torch.testing.assert_close(read.last_hidden_state[:, -1], whole.last_hidden_state[:, -1])
    for layer, other in zip(read.past_key_values.layers, whole.past_key_values.layers, strict=True):
        assert torch.equal(layer.keys, other.keys) and torch.equal(layer.values, other.values)
    torch.testing.assert_close(decoder(IDS).last_hidden_state, whole.last_hidden_state)


@torch.no_grad()
def test_other_threads_read_all_tokens(decoder: Any) -> None:
    whole, found = decoder(IDS).last_hidden_state, []
    with last_tokens_alone(decoder):
        thread = threading.Thread(target=torch.no_grad()(lambda: found.append(decoder(IDS).last_hidden_state)))
        thread.start()
        thread.join()
    torch.testing.assert_close(found[0], whole)


def test_what_has_no_mlp_goes_on_as_it_is() -> None:
    with last_tokens_alone(nn.Linear(2, 2)):
        pass
