"""Floating-point operations of training: what cost models of systems are made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn
from transformers import PretrainedConfig

from eocore.data.loading.sample_stats import FIELDS

MULTIPLY_ADD = 2
"""Operations of a multiplication and the addition that follows it."""
FROZEN_PASSES, TRAINED_PASSES = 2, 3
"""Forward, gradient of the input, and, where the weight trains, gradient of the weight: each costs as much as the first."""
CAUSAL = 0.5
"""Fraction of the scores that a causal kernel computes."""


@dataclass(frozen=True, kw_only=True)
class SampleCost:
    """Operations of a forward and backward pass: for each token, squared length, label, tile, mask image and mask."""

    token: float
    square: float
    scored: float = 0.0
    tile: float = 0.0
    mask_image: float = 0.0
    mask: float = 0.0

    def __call__(self, sizes: np.ndarray) -> np.ndarray:
        """(N,) operations of samples of (N, len(FIELDS)) sizes."""
        column = dict(zip(FIELDS, sizes.astype(np.float64).T, strict=True))
        return (
            self.token * column["tokens"]
            + self.square * column["tokens"] ** 2
            + self.scored * column["scored"]
            + self.tile * column["tiles"]
            + self.mask_image * column["mask_images"]
            + self.mask * column["masks"]
        )


def count_weights(module: nn.Module, *, adapters: bool = False) -> int:
    """Elements of the matrices in `module`: those of LoRA, or all others."""
    return sum(value.numel() for name, value in module.named_parameters() if value.ndim == 2 and (".lora_" in name) == adapters)


def trains(module: nn.Module, *, adapters: bool = True) -> bool:
    """Whether a weight of `module` trains; with `adapters` False, one that is not LoRA's."""
    return any(value.requires_grad for name, value in module.named_parameters() if adapters or ".lora_" not in name)


def passes(module: nn.Module) -> int:
    """How often the operations of a part that gradients end in are made: forward alone where nothing in it trains."""
    return TRAINED_PASSES if trains(module) else 1


def language_cost(model: Any, text: PretrainedConfig, *, recomputed: bool = False) -> SampleCost:
    """Of a causal language model that reads embeddings of something that trains, by tokens and labels.

    Args:
        model: of transformers; weights are counted, not read.
        text: its config.
        recomputed: it runs forward twice.
    """
    layers, again = model.get_decoder().layers, int(recomputed)
    heads = text.num_attention_heads * (getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)
    base = (TRAINED_PASSES if trains(layers, adapters=False) else FROZEN_PASSES) + again
    adapters = count_weights(layers, adapters=True) * (TRAINED_PASSES + again)
    head = TRAINED_PASSES if trains(model.get_output_embeddings()) else FROZEN_PASSES
    return SampleCost(
        token=MULTIPLY_ADD * (count_weights(layers) * base + adapters),
        square=attention_scores([heads] * len(layers)) * CAUSAL * (TRAINED_PASSES + again),
        scored=MULTIPLY_ADD * text.hidden_size * text.vocab_size * head,
    )


def attention_scores(widths: Iterable[int], *, tokens: int = 1) -> float:
    """Operations of queries with keys and of weights with values, for `tokens` that all see each other, of layers with these widths."""
    return float(2 * MULTIPLY_ADD * tokens**2 * sum(widths))


def patch_operations(*, patches: int, pixels: int, width: int) -> float:
    """Operations of a patch embedding, of so many values of an image a patch."""
    return float(MULTIPLY_ADD * patches * pixels * width)
