"""The alignment of DINOv3's head with CLIP; answers are trained by `eocore.losses.answers`."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def cosine_loss(projected: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """1 - cosine of projected and target tokens (B, P, D), mean over tokens and levels."""
    pairs = zip(projected, targets, strict=True)
    return torch.stack([1.0 - functional.cosine_similarity(own.float(), other.float(), dim=-1).mean() for own, other in pairs]).mean()


def centred_cosine(projected: Tensor, targets: Tensor) -> Tensor:
    """Mean cosine of tokens (B, P, D) whose means over the batch are taken away first: what they have in common counts for nothing.

    A constant vector reaches 0 here, where the plain cosine of tokens that share a large mean is high for any projection.
    """
    own, other = (tokens.float().flatten(0, 1) for tokens in (projected, targets))
    return functional.cosine_similarity(own - own.mean(0), other - other.mean(0), dim=-1).mean()
