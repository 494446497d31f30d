"""Moondream's text model under Phi's names: every tensor at the full size, the same logits at a small one, and the way back."""

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PhiConfig, PhiForCausalLM

from eocore.checkpoints.key_map import KeyMap, our_headers
from eocore.checkpoints.key_maps.moondream import PHI_FIELDS, moondream_map, moondream_rules
from eocore.checkpoints.weight_files import Header, LazyTensor


def published(width: int, hidden: int, *, layers: int, vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the text model, as its own code declares them."""
    shapes: dict[str, tuple[int, ...]] = {
        "text_model.transformer.embd.wte.weight": (vocabulary, width),
        "text_model.lm_head.ln.weight": (width,),
        "text_model.lm_head.ln.bias": (width,),
        "text_model.lm_head.linear.weight": (vocabulary, width),
        "text_model.lm_head.linear.bias": (vocabulary,),
        "vision_encoder.encoder.model.visual.patch_embed.linear.weight": (8, 8),
    }
    for number in range(layers):
        layer = f"text_model.transformer.h.{number}."
        shapes |= {f"{layer}ln.{leaf}": (width,) for leaf in ("weight", "bias")}
        for name, rows, columns in (
            ("mixer.Wqkv", 3 * width, width),
            ("mixer.out_proj", width, width),
            ("mlp.fc1", hidden, width),
            ("mlp.fc2", width, hidden),
        ):
            shapes |= {f"{layer}{name}.weight": (rows, columns), f"{layer}{name}.bias": (rows,)}
    return shapes


def lazy(values: dict[str, Tensor]) -> dict[str, LazyTensor]:
    return {name: LazyTensor(Header(tuple(value.shape), value.dtype), lambda value=value: value) for name, value in values.items()}


def test_every_tensor_of_the_full_size_has_its_place() -> None:
    with torch.device("meta"):
        phi = AutoModelForCausalLM.from_config(AutoConfig.for_model(**PHI_FIELDS))
        tensors = {name: torch.empty(shape) for name, shape in published(2048, 8192, layers=24, vocabulary=51_200).items()}
    mapped = moondream_map().apply_tensors(lazy(tensors), origin="moondream2")
    wanted = {f"language_model.{name}": header.shape for name, header in our_headers(phi).items()}
    assert {name: tensor.header.shape for name, tensor in mapped.tensors.items()} == wanted
    assert not mapped.unexpected and list(mapped.unused) == ["vision tower"]


def test_values_go_where_phi_computes_with_them() -> None:
    """Query, key and value are cut from one tensor in this order; the way back joins them."""
    torch.manual_seed(0)
    values = {name: torch.randn(shape) for name, shape in published(16, 32, layers=2, vocabulary=11).items()}
    mapped = KeyMap("text", moondream_rules(ours="")).apply_tensors(lazy(values), origin="small")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    phi = PhiForCausalLM(PhiConfig(vocab_size=11, **sizes))
    phi.load_state_dict({name: tensor.read() for name, tensor in mapped.tensors.items()})
    fused = values["text_model.transformer.h.1.mixer.Wqkv.weight"]
    attention = phi.model.layers[1].self_attn
    assert torch.equal(torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]), fused)
    back = KeyMap("text", moondream_rules(ours="")).reversed().apply_tensors(mapped.tensors, origin="ours")
    text = {name: value for name, value in values.items() if name.startswith("text_model.")}
    assert back.tensors.keys() == text.keys() and all(torch.equal(back.tensors[name].read(), value) for name, value in text.items())
