"""Losses of drawn masks, on points where the drawing is least certain."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss, sample_point

DICE_SMOOTHING = 1.0
"""Added to both halves of the dice ratio, so that an empty mask drawn empty has no loss (published EarthMind: eps 1.0)."""


def _uncertainty(logits: Tensor) -> Tensor:
    return -logits.abs()


def uncertain_points(
    logits: Tensor, num_points: int, *, seeds: Sequence[int], counts: Sequence[int], oversample: float = 3.0, importance: float = 0.75
) -> Tensor:
    """Places (K, P, 2) in 0..1 (x, y) where the loss of each mask is taken: PointRend's sampling (arXiv 1912.08193, section 3.1).

    Args:
        logits: (K, h, w) mask logits.
        num_points: P.
        seeds: one per sample, so that a sample draws the same points whichever rank or batch holds it.
        counts: number of masks of each sample, K in all.
        oversample: candidates per kept point.
        importance: share of points taken where |logit| is smallest; the others are uniform.
    """
    devices = [logits.device] if logits.device.type == "cuda" else []
    chosen = []
    for group, seed in zip(logits.detach().split(list(counts)), seeds, strict=True):
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            # the sampling does not use the loss object it is a method of
            chosen.append(
                Mask2FormerLoss.sample_points_using_uncertainty(
                    None, group[:, None].float(), _uncertainty, num_points, oversample, importance
                )
            )
    return torch.cat(chosen)


def mask_losses(logits: Tensor, masks: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy and dice loss of each mask, (K,) and (K,), on points read bilinearly from logits and masks.

    Args:
        logits: (K, h, w).
        masks: (K, H, W) in 0..1.
        points: (K, P, 2) from `uncertain_points`.
    """
    drawn = sample_point(logits[:, None].float(), points, align_corners=False)[:, 0]
    truth = sample_point(masks[:, None].float(), points, align_corners=False)[:, 0]
    return functional.binary_cross_entropy_with_logits(drawn, truth, reduction="none").mean(1), dice_loss(drawn, truth)


def dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """1 - (2 sum(p t) + 1) / (sum p + sum t + 1) of each row, (K,), of logits and truth (K, P)."""
    probability = logits.sigmoid()
    overlap = 2 * (probability * truth).sum(1) + DICE_SMOOTHING
    return 1 - overlap / (probability.sum(1) + truth.sum(1) + DICE_SMOOTHING)
