"""Small language models with compression tokens, and samples for them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from eocore.models.lora import add_lora
from eocore.portable.compression_plan import Prompts
from eocore.portable.token_compression import add_compression, start_compression

WIDTH, WORDS = 32, 50


def language_model(kind: str, *, lora: bool = False, **fields: Any) -> Any:
    """A model of a kind of transformers, all weights random."""
    torch.manual_seed(0)
    head = {"head_dim": 8} if kind == "qwen3" else {}
    sizes = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = AutoConfig.for_model(kind, **{"vocab_size": WORDS, "max_position_embeddings": 512, **sizes, **head, **fields})
    model = AutoModelForCausalLM.from_config(config)
    add_compression(model)
    start_compression(model, 3)
    if lora:
        add_lora(model, rank=4, alpha=8, dropout=0.0)
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=float("norm" in name), std=0.2)
        parameter.requires_grad_(True)
    return model


def prompts(spans: list[list[tuple[int, int]]], lengths: list[int]) -> Prompts:
    """Rows padded in front, with images at the spans of each."""
    width = max(lengths)
    compressible = torch.zeros(len(spans), width, dtype=torch.bool)
    for row, (own, length) in enumerate(zip(spans, lengths, strict=True)):
        for first, last in own:
            compressible[row, width - length + first : width - length + last] = True
    mask = torch.stack([(torch.arange(width) >= width - length).long() for length in lengths])
    return Prompts(torch.randn(len(spans), width, WIDTH), compressible, torch.randint(4, WORDS, mask.shape), mask)


def gradients(model: Any, loss: Tensor) -> dict[str, Tensor]:
    """Of every weight that the loss depends on."""
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()}


def drawn(by_count: dict[int, list[int]]) -> Callable[[int], list[int]]:
    """Ratios by the number of windows."""
    return lambda count: by_count[count]
