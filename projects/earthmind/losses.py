"""What an EarthMind model is trained by: losses of a batch from what the model returns for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from earthmind.model.batching import Batch, SegTokens
from earthmind.model.modeling_earthmind import EarthMindOutput
from earthmind.model.sensor_fusion import FusedTokens
from eocore.errors import ConfigError
from eocore.losses.contrastive import position_contrast
from eocore.losses.mask import mask_losses, uncertain_points
from eocore.losses.text import token_cross_entropy

ATTENTION_FLOOR = 1e-6
"""Added to attention before the logarithm (upstream EarthMind)."""
ALIGNMENTS = ("mse", "contrastive")
TEXT_MEANS = ("samples", "tokens")


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """Weights and choices; the defaults are those of upstream.

    Attributes:
        text, mask, dice, attention, alignment: weights.
        text_mean: over what the text loss is the mean: "samples" (each counts alike, however long its answers) or "tokens" (each
            supervised token counts alike); with packing or "tokens", of the whole update, all ranks and micro-steps together.
        alignment_kind: "mse" between the sensors' tokens, or "contrastive" over matching token positions.
        temperature: of the contrastive alignment.
        num_points, oversample, importance: point sampling of the mask losses (see `eocore.losses.mask`).
    """

    text: float = 1.0
    mask: float = 2.0
    dice: float = 0.5
    attention: float = 0.1
    alignment: float = 1.0
    text_mean: str = "samples"
    alignment_kind: str = "mse"
    temperature: float = 0.07
    num_points: int = 12544
    oversample: float = 3.0
    importance: float = 0.75

    def __post_init__(self) -> None:
        if self.text_mean not in TEXT_MEANS:
            raise ConfigError(f"losses.text_mean='{self.text_mean}' is unknown; choices: {', '.join(TEXT_MEANS)}.")
        if self.alignment_kind not in ALIGNMENTS:
            raise ConfigError(f"losses.alignment_kind='{self.alignment_kind}' is unknown; choices: {', '.join(ALIGNMENTS)}.")


SAMPLES, SUPERVISED = "samples", "supervised_tokens"
"""Items that losses are means over, by the names of `num_items_in_batch`."""


def count_items(batch: Batch) -> dict[str, int]:
    """Items of a batch that its losses are means over."""
    return {SAMPLES: batch.num_samples, SUPERVISED: batch.num_supervised}


def compute_losses(
    output: EarthMindOutput,
    batch: Batch,
    *,
    settings: LossSettings,
    grid: tuple[int, int],
    num_items_in_batch: Mapping[str, float] | None = None,
) -> dict[str, Tensor]:
    """The losses of a batch by name, unweighted.

    Args:
        output: of the model for `batch`.
        batch: with dummy inputs where it has no image or mask of its own (`earthmind.datasets.dummy_inputs`).
        settings: choices.
        grid: (rows, columns) of vision tokens of one tile.
        num_items_in_batch: mean number of each item of `count_items` in a batch, over all batches of the update on all ranks, where losses
            are means over the update; None: means over this batch.
    """
    assert output.logits is not None and output.fused is not None and batch.vision is not None
    means = num_items_in_batch or count_items(batch)
    scale = batch.num_samples / means[SAMPLES]
    own = batch.supervised.weights
    weights = own * scale if settings.text_mean == "samples" else torch.ones_like(own) / max(means[SUPERVISED], 1.0)
    losses = {"text": token_cross_entropy(output.logits, batch.supervised.targets, weights=weights)}
    tile_weight = pair_weights(batch.vision.tile_sample, batch.num_samples)
    losses["alignment"] = scale * alignment_loss(output.fused, settings, tile_weight=tile_weight)
    return losses | {name: scale * value for name, value in _segment_losses(output, batch.segments, settings=settings, grid=grid).items()}


def _segment_losses(
    output: EarthMindOutput, segments: SegTokens | None, *, settings: LossSettings, grid: tuple[int, int]
) -> dict[str, Tensor]:
    """Losses of the [SEG] tokens: of their masks, and of their attention."""
    assert segments is not None and segments.masks is not None and output.masks is not None
    predicted = output.masks.chosen
    points = uncertain_points(
        predicted,
        settings.num_points,
        seeds=segments.seeds,
        counts=segments.counts,
        oversample=settings.oversample,
        importance=settings.importance,
    )
    mask, dice = mask_losses(predicted, segments.masks, points=points)
    attention = torch.zeros_like(mask)
    if output.seg_attention is not None:  # not where images are compressed
        attention = attention_loss(output.seg_attention, segments.columns, masks=segments.masks, grid=grid)
    found = {"mask": mask, "dice": dice, "attention": attention}
    return {name: (value * segments.weights).sum() for name, value in found.items()}


def attention_loss(attention: Tensor, columns: Tensor, *, masks: Tensor, grid: tuple[int, int]) -> Tensor:
    """KL divergence (K,) between each mask at token resolution and the [SEG] token's attention to the tokens that show the whole image.

    Args:
        attention: (K, S) `EarthMindOutput.seg_attention`.
        columns: (K, A) positions of those tokens in the row, view by view, padded with -1.
        masks: (K, H, W).
        grid: (rows, columns) of tokens of one tile.

    The target is the mask max-pooled to the grid, the same for every view, normalised to sum 1; the attention is not renormalised
    over the tile, so that attention spent elsewhere costs too. Source: the upstream attention loss.
    """
    known = columns >= 0
    seen = attention.gather(1, columns.clamp(min=0))
    target = functional.adaptive_max_pool2d(masks[:, None].float(), grid).flatten(1)
    target = target.repeat(1, -(-columns.shape[1] // target.shape[1]))[:, : columns.shape[1]] * known
    target = target / target.sum(1, keepdim=True).clamp(min=1.0)
    return torch.where(target > 0, target * (target.clamp(min=ATTENTION_FLOOR).log() - (seen + ATTENTION_FLOOR).log()), 0.0).sum(1)


def alignment_loss(fused: FusedTokens, settings: LossSettings, *, tile_weight: Tensor) -> Tensor:
    """Distance of each sensor's tokens from the other sensors' at the same positions, weighted sum over tiles; 0 without pairs.

    Args:
        fused: tokens before fusion and their counterparts.
        tile_weight: (T,) weights of the paired tiles; see `pair_weights`.
    """
    if settings.alignment_kind == "mse":
        per_tile = (fused.before.float() - fused.others.float()).square().mean((1, 2))
    else:
        per_tile = position_contrast(fused.before, fused.others, temperature=settings.temperature)
    return (per_tile * fused.paired.float() * tile_weight).sum()


def pair_weights(tile_sample: Tensor, num_samples: int) -> Tensor:
    """(T,) weight of each tile: 1 / tiles of its sample / samples, so that every sample counts alike on any number of ranks."""
    count = torch.zeros(num_samples, device=tile_sample.device).index_add(0, tile_sample, torch.ones_like(tile_sample, dtype=torch.float32))
    return 1.0 / count[tile_sample] / num_samples


def weighted(losses: Mapping[str, Tensor], settings: LossSettings) -> dict[str, Any]:
    """The same losses times their weights, under names the trainer sums (`loss_*`)."""
    return {f"loss_{name}": value * getattr(settings, name) for name, value in losses.items()}
