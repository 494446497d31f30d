"""Compiled layers: the same results and gradients, together with LoRA and recomputing, under the names they had."""

import shutil

import pytest
import torch
from transformers import Qwen2Config, Qwen2Model

from eocore.errors import ConfigError
from eocore.models.compilation import compile_layers
from eocore.models.lora import add_lora, merge_lora
from eocore.models.recompute import recompute_activations

WIDTH, LAYERS = 32, 2
SIZES = {"vocab_size": 8, "hidden_size": WIDTH, "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1}


def make_model(*, compiled: str, recomputed: str = "none") -> Qwen2Model:
    torch.manual_seed(0)
    model = Qwen2Model(Qwen2Config(num_hidden_layers=LAYERS, attn_implementation="sdpa", **SIZES)).train()
    add_lora(model, rank=4, alpha=8, dropout=0.0)
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.1)
    recompute_activations(model, recomputed)
    assert compile_layers(model, compiled) == (0 if compiled == "none" else LAYERS)
    return model


def step(model: Qwen2Model, tokens: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    embeddings = torch.randn(1, tokens, WIDTH, generator=torch.Generator().manual_seed(tokens))
    model.zero_grad()
    loss = model(inputs_embeds=embeddings, use_cache=False).last_hidden_state.square().sum()
    loss.backward()
    return loss.detach(), {name: part.grad.clone() for name, part in model.named_parameters() if part.grad is not None}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for a CPU needs a C++ compiler")
@pytest.mark.parametrize("recomputed", ["none", "selective", "attention", "full"])
def test_results_and_gradients_are_those_without(recomputed: str) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    plain, compiled = make_model(compiled="none"), make_model(compiled="dynamic", recomputed=recomputed)
    for tokens in (24, 31):
        (loss, gradients), (found, found_gradients) = step(plain, tokens), step(compiled, tokens)
        torch.testing.assert_close(found, loss, rtol=1e-5, atol=1e-5)
        assert set(found_gradients) == set(gradients)
        for name, gradient in gradients.items():
            torch.testing.assert_close(found_gradients[name], gradient, rtol=1e-4, atol=1e-4, msg=f"{name} differs")
    counts = torch._dynamo.utils.counters
    assert counts["stats"]["unique_graphs"] <= 2 * LAYERS, "another length makes no further graph"
    assert list(compiled.state_dict()) == list(plain.state_dict())
    compiled.eval()
    with torch.no_grad():
        before = compiled(inputs_embeds=torch.ones(1, 5, WIDTH), use_cache=False).last_hidden_state
        assert merge_lora(compiled) == 7 * LAYERS
        after = compiled(inputs_embeds=torch.ones(1, 5, WIDTH), use_cache=False).last_hidden_state
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_names_stay() -> None:
    assert list(make_model(compiled="static").state_dict()) == list(make_model(compiled="none").state_dict())


def test_another_choice_is_refused() -> None:
    with pytest.raises(ConfigError, match="compile is 'max'; choices: none, static, dynamic"):
        make_model(compiled="max")


def test_a_machine_without_a_compiler_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"there is no C\+\+ compiler \(no-such-compiler\). Install one"):
        make_model(compiled="dynamic")
