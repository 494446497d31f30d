"""What a sample costs to train on, in floating-point operations, from its sizes and the model's."""

from dataclasses import replace
from typing import Any

from earthmind.model.configuration_earthmind import SAM3_TRACKER
from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
from eocore.train.planning.operations import (
    MULTIPLY_ADD,
    TRAINED_PASSES,
    SampleCost,
    attention_scores,
    count_weights,
    language_cost,
    passes,
    patch_operations,
)

MASK_FLOPS, MASK_POSITIONS, MASK_WIDTH = 3.7e9, 64**2, 256
"""SAM 2's mask decoder for one object on an image of 1024 px: counted with torch's FlopCounterMode on meta tensors."""
BLOCK_WIDTHS = 12
"""Weights of a transformer block in squares of its width: 4 of attention, 8 of an MLP four times as wide."""
SIMILARITIES = 2
"""Products of N x N x D that the fusion "hca" makes for a tile, and about as many again for its gradients; the second stands for softmax,
logarithm and words."""
STRIDE = 4
"""Of Hiera's patch embedding [px]; each stage after the first halves height and width."""


def sample_cost(model: EarthMindForConditionalGeneration, *, recomputed: bool = False) -> SampleCost:
    """The cost of samples for a model as it trains: frozen parts that no gradient passes through run forward alone.

    What is not counted makes no difference between samples, or none worth counting: norms, activations, embeddings, the optimiser.

    Args:
        model: weights are counted, not read; it may lie on the meta device.
        recomputed: the language model runs forward twice.
    """
    return replace(
        language_cost(model.language_model, model.config.text_config, recomputed=recomputed),
        tile=_tile(model),
        mask_image=_mask_image(model),
        mask=MASK_FLOPS * TRAINED_PASSES * _mask_scale(model),
    )


def _tile(model: EarthMindForConditionalGeneration) -> float:
    vision, config = model.config.vision_config, model.config
    (height, width), (rows, columns) = vision.image_size, vision.patch_size
    patches = (height // rows) * (width // columns)
    tokens = patches + 1  # the class token
    embedding = patch_operations(patches=patches, pixels=rows * columns * vision.num_channels, width=vision.hidden_size)
    blocks = MULTIPLY_ADD * tokens * count_weights(model.vision_tower.encoder)
    scores = attention_scores([vision.hidden_size] * vision.num_hidden_layers, tokens=tokens)
    projector = MULTIPLY_ADD * config.tokens_per_tile * count_weights(model.projector)
    return (embedding + blocks + scores) * passes(model.vision_tower) + projector * passes(model.projector) + _fusion(model)


def _fusion(model: EarthMindForConditionalGeneration) -> float:
    """Of a tile in the fusion that compares its tokens with each other; the others cost nothing worth counting."""
    config = model.config
    if not config.fuses_sensors:
        return 0.0
    return SIMILARITIES * MULTIPLY_ADD * config.tokens_per_tile**2 * config.text_config.hidden_size * TRAINED_PASSES


def _mask_image(model: EarthMindForConditionalGeneration) -> float:
    """Hiera: blocks of four stages, attention inside windows but for some global blocks. Source of the shapes: Hiera, arXiv 2306.00989."""
    backbone = model.config.sam_config.vision_config.backbone_config
    side = backbone.image_size[0] if isinstance(backbone.image_size, list | tuple) else backbone.image_size
    if model.config.sam_config.model_type == SAM3_TRACKER:
        return _plain_transformer(backbone, side) * passes(model.seg_head.sam.vision_encoder)
    total, first = 0.0, 0
    stages = zip(backbone.blocks_per_stage, backbone.embed_dim_per_stage, backbone.window_size_per_stage, strict=True)
    for number, (blocks, width, window) in enumerate(stages):
        positions = (side // (STRIDE * 2**number)) ** 2
        whole = sum(first <= block < first + blocks for block in backbone.global_attention_blocks)
        total += MULTIPLY_ADD * positions * BLOCK_WIDTHS * width**2 * blocks
        total += 2 * MULTIPLY_ADD * positions * width * ((blocks - whole) * window**2 + whole * positions)
        first += blocks
    return total * passes(model.seg_head.sam.vision_encoder)


def _plain_transformer(backbone: Any, side: int) -> float:
    """SAM 3: layers of one width, attention inside windows but for some global layers. Source of the shapes: transformers, models/sam3."""
    positions, width, layers = (side // backbone.patch_size) ** 2, backbone.hidden_size, backbone.num_hidden_layers
    whole = len(backbone.global_attn_indexes)
    blocks = MULTIPLY_ADD * positions * width * (4 * width + 2 * backbone.intermediate_size) * layers
    return blocks + 2 * MULTIPLY_ADD * positions * width * ((layers - whole) * backbone.window_size**2 + whole * positions)


def _mask_scale(model: EarthMindForConditionalGeneration) -> float:
    """Of another image size and width than those of `MASK_FLOPS`."""
    sam = model.config.sam_config
    positions = (sam.prompt_encoder_config.image_size // sam.prompt_encoder_config.patch_size) ** 2
    return positions / MASK_POSITIONS * (sam.mask_decoder_config.hidden_size / MASK_WIDTH) ** 2
