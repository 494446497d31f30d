"""Losses of drawn masks, on points where the drawing is least certain."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.mask2former.modeling_mask2former import sample_point

DICE_SMOOTHING = 1.0
"""Added to both halves of the dice ratio, so that an empty mask drawn empty has no loss (upstream EarthMind: eps 1.0)."""


def uncertain_points(
    logits: Tensor, num_points: int, *, seeds: Sequence[int], counts: Sequence[int], oversample: float = 3.0, importance: float = 0.75
) -> Tensor:
    """Points (K, P, 2) in 0..1 (x, y) where the loss of each mask is taken: PointRend's sampling (arXiv 1912.08193, section 3.1).

    Args:
        logits: (K, h, w) mask logits.
        num_points: P.
        seeds: one per sample, so that a sample draws the same points whichever rank or batch holds it.
        counts: number of masks of each sample, K in all.
        oversample: candidates per kept point.
        importance: fraction of points taken where |logit| is smallest; the others are uniform.
    """
    devices = [logits.device] if logits.device.type == "cuda" else []
    chosen = []
    for group, seed in zip(logits.detach().split(list(counts)), seeds, strict=True):
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            chosen.append(_sample_points(group[:, None].float(), num_points, oversample=oversample, importance=importance))
    return torch.cat(chosen)


def _sample_points(logits: Tensor, num_points: int, *, oversample: float, importance: float) -> Tensor:
    """(K, P, 2) of logits (K, 1, h, w): the least certain of random candidates, then points without regard to the logits."""
    num_uncertain = int(importance * num_points)
    candidates = torch.rand(len(logits), int(num_points * oversample), 2, device=logits.device)
    certainty = sample_point(logits, candidates, align_corners=False)[:, 0].abs()
    kept = (-certainty).topk(num_uncertain, dim=1).indices
    uncertain = candidates.gather(1, kept[..., None].expand(-1, -1, 2))
    return torch.cat([uncertain, torch.rand(len(logits), num_points - num_uncertain, 2, device=logits.device)], dim=1)


def mask_losses(logits: Tensor, masks: Tensor, *, points: Tensor) -> tuple[Tensor, Tensor]:
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
