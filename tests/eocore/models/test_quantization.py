"""Layers in few bits: close to what they were, trained beside, made plain again, refused where they cannot be."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3ForCausalLM

from eocore.errors import ConfigError
from eocore.models.lora import add_lora, lora_names, merge_lora
from eocore.models.quantization import QuantizationOptions, check_stage, dequantize, is_marked, num_numbers, quantize
from eocore.train.checkpoint.weights import frozen_hash

bits = pytest.mark.parametrize("bits", [4, 8])


@pytest.fixture
def model() -> Qwen3ForCausalLM:
    pytest.importorskip("bitsandbytes")
    return tiny_model()


def tiny_model() -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=90,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        tie_word_embeddings=True,
    )
    return Qwen3ForCausalLM(config).requires_grad_(False).eval()


def states(model: Any) -> Tensor:
    return model(torch.arange(20)[None] * 4).logits.detach()


@bits
@pytest.mark.parametrize("double", [True, False])
def test_layers_stay_close_to_what_they_were(bits: int, double: bool, model: Qwen3ForCausalLM) -> None:
    before, names, shape = states(model), [name for name, _ in model.named_parameters()], model.model.layers[0].mlp.up_proj.weight.shape
    assert len(quantize(model, QuantizationOptions(bits=bits, double=double))) == 2 * 7
    layer = model.model.layers[0].mlp.up_proj
    assert layer.weight.nbytes <= shape.numel() * bits / 8 and num_numbers(layer.weight) == shape.numel()
    assert type(model.lm_head) is nn.Linear and [name for name, _ in model.named_parameters()] == names
    deviation = (states(model) - before).std() / before.std()
    assert 0 < deviation < (0.2 if bits == 4 else 0.02)


@pytest.mark.parametrize(("bits", "variants"), [(4, []), (4, ["dora"]), (8, [])])
def test_lora_trains_beside_them_and_merges_into_what_they_stand_for(bits: int, variants: list[str], model: Qwen3ForCausalLM) -> None:
    quantize(model, QuantizationOptions(bits=bits))
    names = add_lora(model, rank=4, alpha=8, dropout=0.0, variants=variants)
    model.train()
    optimizer = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-2)
    ids = torch.arange(20)[None] * 4
    losses = []
    for _ in range(6):
        loss = model(ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1 and lora_names(model) == names
    trained = states(model.eval())
    assert dequantize(model) == 14 and merge_lora(model) == 14
    # layers in 8 bits round their inputs too, the plain ones do not
    torch.testing.assert_close(states(model), trained, atol=1e-5 if bits == 4 else 3e-2, rtol=0)
    assert all(type(model.get_submodule(name.rpartition(".")[0])) is nn.Linear for name in model.state_dict() if "proj.weight" in name)


@bits
def test_a_base_with_other_scales_is_another_base(bits: int, model: Qwen3ForCausalLM) -> None:
    """Twice the weights are the same packed numbers with twice the scales."""
    other = tiny_model()
    other.load_state_dict({name: value * 2 if "proj" in name else value for name, value in model.state_dict().items()})
    digests = []
    for part in (model, other, tiny_model()):
        quantize(part, QuantizationOptions(bits=bits, double=False))
        digests.append(frozen_hash(part))
    assert digests[0] == digests[2] != digests[1]
    packed = [part.model.layers[0].mlp.up_proj.weight.data for part in (model, other)]
    assert torch.equal(*packed)


def test_on_the_meta_device_layers_are_marked() -> None:
    with torch.device("meta"):
        model = tiny_model()
    quantize(model, QuantizationOptions())
    marked = [name for name, parameter in model.named_parameters() if is_marked(parameter)]
    assert len(marked) == 14 and type(model.model.layers[0].mlp.up_proj) is nn.Linear


def test_what_cannot_be_is_named(model: Qwen3ForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"task.quantization.bits is 3; expected 4 or 8"):
        QuantizationOptions(bits=3)
    with pytest.raises(ConfigError, match=r"format is 'nf4'; with 8 bits expected int8"):
        QuantizationOptions(bits=8, format="nf4")
    with pytest.raises(ConfigError, match="no frozen linear layer in Qwen3ForCausalLM"):
        quantize(tiny_model().requires_grad_(True), QuantizationOptions())
    with pytest.raises(ConfigError, match="quantization and ZeRO-3 do not go together"):
        check_stage({"quantization": {}}, {"zero_optimization": {"stage": 3}})
    check_stage({"quantization": {}}, {"zero_optimization": {"stage": 2}})
    check_stage({}, {"zero_optimization": {"stage": 3}})
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"task.quantization needs bitsandbytes, which is not installed.*--no-deps"):
        quantize(model, QuantizationOptions())
