"""Useful floating-point operations of a training step, from the model's real sizes: what the maths needs and no more.

A linear layer of N weights costs 2 N a token forward, 2 N for the gradient of its input, and 2 N for that of its weights where they train
(so LoRA's base layers cost 4 N and its own 6 N). Attention is causal, so half of the full S^2; forward and backward together are three
times the forward. Frozen towers run forward once. The head counts supervised tokens alone. Nothing counts twice for being recomputed in
backward, for padding, or for being multiplied by zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, Sam2Model

from earthmind.model.batching import Batch
from earthmind.model.configuration_earthmind import EarthMindConfig
from earthmind.task import EarthMindTask

FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT = 2, 2, 2
"""Operations for each weight and token; a multiplication with its addition is two."""
TRAINED_ATTENTION = 3
"""Forward and backward of attention, in forwards."""


@dataclass(frozen=True, kw_only=True)
class StepFlops:
    """Operations of one step, by part."""

    vision: float
    language: float
    attention: float
    head: float
    masks: float

    @property
    def total(self) -> float:
        """All parts."""
        return self.vision + self.language + self.attention + self.head + self.masks


def linear_flops(module: nn.Module, *, input_gradient: bool) -> float:
    """Operations a token of all linear layers in `module`, forward and backward."""
    total = 0
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            units = FORWARD + INPUT_GRADIENT * input_gradient + WEIGHT_GRADIENT * layer.weight.requires_grad
            total += units * layer.weight.numel()
    return float(total)


def attention_flops(task: EarthMindTask, lengths: Sequence[int]) -> float:
    """Operations of causal attention, forward and backward, over samples of these lengths that do not see each other."""
    text: Any = task.model.config.text_config
    width = text.num_attention_heads * getattr(text, "head_dim", None) if getattr(text, "head_dim", None) else text.hidden_size
    # q k^T and p v: 2 products of 2 S^2 D operations, half of them visible
    return float(sum(TRAINED_ATTENTION * 2 * 2 * length**2 * width * text.num_hidden_layers / 2 for length in lengths))


def step_flops(task: EarthMindTask, batch: Batch) -> StepFlops:
    """Useful operations of one forward and backward on `batch`.

    Args:
        task: whose sizes and frozen parts count.
        batch: of samples; dummy inputs do not count.
    """
    model, config = task.model, task.model.config
    decoder: Any = model.language_model.get_decoder()
    head: Any = model.get_output_embeddings()
    tiles = 0 if batch.vision is None or not len(batch.vision.placeholder_index) else len(batch.vision.tiles)
    # the projector's input comes from a frozen tower, which wants no gradient
    trained_tower = any(parameter.requires_grad for parameter in model.vision_tower.parameters())
    tower = tower_flops(config) * (TRAINED_ATTENTION if trained_tower else 1)
    projector = linear_flops(model.projector, input_gradient=True) * config.tokens_per_tile
    lengths = sample_lengths(batch)
    return StepFlops(
        vision=tiles * (tower + projector),
        language=sum(lengths) * linear_flops(decoder, input_gradient=True),
        attention=attention_flops(task, lengths),
        head=len(batch.supervised.positions) * linear_flops(head, input_gradient=True),
        masks=_mask_flops(task, batch),
    )


def sample_lengths(batch: Batch) -> list[int]:
    """Tokens of each sample of a batch: positions begin at 0 with every one; padding does not count."""
    starts = (batch.position_ids == 0).sum().item()
    if starts == 1:
        return [int(batch.num_tokens)]
    flat = batch.position_ids.flatten()
    first = (flat == 0).nonzero().flatten()
    ends = torch.cat([first[1:], torch.tensor([len(flat)], device=flat.device)])
    lengths = (ends - first).tolist()
    spare = sum(lengths) - int(batch.num_tokens)
    return [length for length in lengths if length != spare] if spare in lengths else lengths


def _mask_flops(task: EarthMindTask, batch: Batch) -> float:
    if batch.grounding is None or batch.segments is None or batch.segments.is_dummy:
        return 0.0
    encoder, decoder = sam_flops(task.model.config)
    projector = linear_flops(task.model.seg_head.projector, input_gradient=True)
    objects = sum(batch.segments.counts)
    return len(batch.grounding.images) * encoder + objects * (TRAINED_ATTENTION * decoder + projector)


def tower_flops(config: EarthMindConfig) -> float:
    """Operations of the vision tower's forward over one tile, counted by torch on the meta device."""
    return _count_tower(config.vision_config.to_json_string())


def sam_flops(config: EarthMindConfig) -> tuple[float, float]:
    """Forward operations of SAM 2: (image encoder on one image, mask decoder on one object), counted by torch on the meta device."""
    return _count_sam(config.sam_config.to_json_string(use_diff=False))


@lru_cache
def _count_tower(text: str) -> float:
    import json

    from transformers import AutoConfig

    fields = json.loads(text)
    config = AutoConfig.for_model(**fields)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        tower = AutoModel.from_config(config)
        tower(pixel_values=torch.zeros(1, config.num_channels, *config.image_size))
    return float(counter.get_total_flops())


@lru_cache
def _count_sam(text: str) -> tuple[float, float]:
    import json

    from transformers import AutoConfig

    config = AutoConfig.for_model(**json.loads(text))
    size, channels = config.prompt_encoder_config.image_size, config.vision_config.backbone_config.num_channels
    with torch.device("meta"):
        sam = Sam2Model._from_config(config)
        with FlopCounterMode(display=False) as encoder:
            sam.vision_encoder(torch.zeros(1, channels, size, size))
        levels = [torch.zeros(1, sam.hidden_dim, *level) for level in sam.backbone_feature_sizes]
        finest = [sam.mask_decoder.conv_s0(levels[0]), sam.mask_decoder.conv_s1(levels[1])]
        with FlopCounterMode(display=False) as decoder:
            sam.mask_decoder(
                image_embeddings=levels[-1],
                image_positional_embeddings=torch.zeros_like(levels[-1]),
                sparse_prompt_embeddings=torch.zeros(1, 1, 3, sam.hidden_dim),
                dense_prompt_embeddings=torch.zeros_like(levels[-1]),
                multimask_output=True,
                high_resolution_features=finest,
            )
    return float(encoder.get_total_flops()), float(decoder.get_total_flops())
