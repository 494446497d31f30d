"""What a sample costs to train on, in floating-point operations, from its sizes and the model's."""

from dataclasses import replace
from typing import Any

from torch import nn

from aerith.model.modeling_aerith import AerithForConditionalGeneration
from aerith.model.vision_aerith import FusedTowers
from eocore.portable.attention_pooler import AttentionPooler
from eocore.train.planning.operations import (
    FROZEN_PASSES,
    MULTIPLY_ADD,
    TRAINED_PASSES,
    SampleCost,
    attention_scores,
    count_weights,
    language_cost,
    patch_operations,
    trains,
)


def sample_cost(model: AerithForConditionalGeneration, *, recomputed: bool = False) -> SampleCost:
    """The cost of samples for a model as it trains: text by its tokens, a picture as one tile.

    What is not counted makes no difference between samples, or none worth counting: norms, activations, embeddings, the optimiser.

    Args:
        model: weights are counted, not read; it may lie on the meta device.
        recomputed: the language model runs forward twice.
    """
    words = language_cost(model.language_model, model.config.text_config, recomputed=recomputed)
    return replace(words, tile=_picture(model))


def _picture(model: AerithForConditionalGeneration) -> float:
    """Of both towers, the sum and the pooler."""
    towers, pooler = model.vision.towers, model.vision.pooler
    return _towers(towers) + _pooler(pooler, patches=_patches(towers), passes=_passes(pooler, behind=towers))


def _patches(towers: FusedTowers) -> int:
    config = towers.sizes.clip
    return (int(config.image_size) // int(config.patch_size)) ** 2


def _towers(towers: FusedTowers) -> float:
    """Of the towers that run, with what takes their patch tokens of each level into one space."""
    sizes, tokens, total = towers.sizes, _patches(towers) * towers.sizes.num_levels, 0.0
    if sizes.fusion != "dinov3":
        total += _tower(towers.clip, towers.clip.vision_model.encoder, others=1)
        projection = towers.clip.visual_projection
        total += MULTIPLY_ADD * tokens * count_weights(projection) * _passes(projection, behind=towers.clip.vision_model)
    if sizes.fusion != "clip":
        total += _tower(towers.dinov3, towers.dinov3.model, others=1 + sizes.dinov3.num_register_tokens)
        total += MULTIPLY_ADD * tokens * count_weights(towers.head) * _passes(towers.head, behind=towers.dinov3)
    return total


def _tower(tower: Any, layers: nn.Module, *, others: int) -> float:
    """Of a vision transformer, whose sequence holds so many `others` than patches."""
    config = getattr(tower.config, "vision_config", tower.config)
    patches = (config.image_size // config.patch_size) ** 2
    tokens, passes = patches + others, _passes(tower, behind=None)
    embedding = patch_operations(patches=patches, pixels=config.patch_size**2 * config.num_channels, width=config.hidden_size)
    scores = attention_scores([config.hidden_size] * config.num_hidden_layers, tokens=tokens)
    return (embedding + MULTIPLY_ADD * tokens * count_weights(layers) + scores) * passes


def _pooler(pooler: AttentionPooler, *, patches: int, passes: int) -> float:
    """Of queries that read the patches of their level and themselves, in every layer anew."""
    sizes, total = pooler.sizes, 0.0
    square, given = sizes.width**2, sizes.width if sizes.input_width is None else sizes.input_width
    for queries in sizes.num_queries:
        read = queries + patches
        layer = MULTIPLY_ADD * square * ((2 + 2 * sizes.mlp_ratio) * queries + 2 * read) + 2 * MULTIPLY_ADD * queries * read * sizes.width
        total += layer * sizes.num_layers + MULTIPLY_ADD * sizes.width * sizes.output_width * queries
        total += MULTIPLY_ADD * given * sizes.width * patches if given != sizes.width else 0.0
    return total * passes


def _passes(part: nn.Module, *, behind: nn.Module | None) -> int:
    """How often the operations of a part are made: forward alone where nothing in it trains nor in what gives its input."""
    if trains(part):
        return TRAINED_PASSES
    return FROZEN_PASSES if behind is not None and trains(behind) else 1
