"""Contrastive losses: matching pairs are nearer than all others."""

import torch
from torch import Tensor
from torch.nn import functional


def position_contrast(first: Tensor, second: Tensor, *, temperature: float) -> Tensor:
    """Symmetric InfoNCE over token positions, (T,): a sensor's token should be nearest to the other sensor's token at its position.

    Args:
        first: (T, N, D) tokens of one sensor, tile by tile.
        second: (T, N, D) tokens of the other at the same positions; the other positions of the tile are the negatives.
        temperature: divides the cosine similarities. Source of the loss: van den Oord et al., arXiv 1807.03748.
    """
    similarity = functional.normalize(first.float(), dim=-1) @ functional.normalize(second.float(), dim=-1).transpose(1, 2) / temperature
    positions = torch.arange(first.shape[1], device=first.device).expand(first.shape[:2])
    one_way = functional.cross_entropy(similarity.transpose(1, 2), positions, reduction="none").mean(1)
    other_way = functional.cross_entropy(similarity, positions, reduction="none").mean(1)
    return (one_way + other_way) / 2
