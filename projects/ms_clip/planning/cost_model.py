"""What a pair of an image and a text costs to train on, in floating-point operations."""

from typing import Any

from torch import nn

from eocore.train.planning.operations import (
    CAUSAL,
    FROZEN_PASSES,
    MULTIPLY_ADD,
    TRAINED_PASSES,
    SampleCost,
    attention_scores,
    passes,
    patch_operations,
    trains,
)
from ms_clip.model.modeling_ms_clip import MsClipModel


def sample_cost(model: MsClipModel, *, recomputed: bool = False) -> SampleCost:
    """The cost of pairs for a model as it trains: a text by its tokens, an image as one tile.

    Not counted: norms, activations, tables, the optimiser, the cosines of the global batch (of 32,768 pairs 0.4 % of what ViT-B/16 does).
    A tower of which some parts train counts the gradients of its states in all layers.

    Args:
        model: weights are counted, not read; it may lie on the meta device.
        recomputed: the towers run forward twice.
    """
    config, again = model.config, int(recomputed)
    text = config.text_config
    scores = attention_scores([text.hidden_size] * text.num_hidden_layers) * CAUSAL
    return SampleCost(
        token=_products(model.text_model, model.text_model.encoder, again=again),
        square=scores * (passes(model.text_model) + again),
        tile=_image(model, again=again) + _products(model, model.text_projection, again=again),
    )


def _image(model: MsClipModel, *, again: int) -> float:
    """Of the vision tower and its projection; the image itself takes no gradient."""
    vision, tower = model.config.vision_config, model.vision_model
    embeddings: Any = tower.embeddings
    weight = embeddings.patch_embedding.weight
    tokens = model.config.grid**2 + 1  # the class token
    embedding = patch_operations(patches=tokens - 1, pixels=weight[0].numel(), width=vision.hidden_size)
    scores = attention_scores([vision.hidden_size] * vision.num_hidden_layers, tokens=tokens)
    return (
        embedding * (FROZEN_PASSES if weight.requires_grad else 1)
        + embedding * again
        + tokens * _products(tower, tower.encoder, again=again)
        + scores * (passes(tower) + again)
        + _products(model, model.visual_projection, again=again)
    )


def _products(whole: nn.Module, part: nn.Module, *, again: int) -> float:
    """Of one token with the matrices of `part`; gradients of states pass through it where anything in `whole` trains."""
    frozen = FROZEN_PASSES if trains(whole) else 1
    counts = (
        weight.numel() * ((TRAINED_PASSES if weight.requires_grad else frozen) + again) for weight in part.parameters() if weight.ndim == 2
    )
    return float(MULTIPLY_ADD * sum(counts))
