"""Cross-entropy of the supervised tokens alone."""

import torch
from torch import Tensor


def token_cross_entropy(logits: Tensor, targets: Tensor, *, weights: Tensor) -> Tensor:
    """Weighted sum of the cross-entropies of single tokens [nat].

    Args:
        logits: (M, V), one row per supervised token.
        targets: (M,) token ids.
        weights: (M,); weights that sum to 1 give a mean. Without any token the result is 0 (not NaN) and keeps its graph.
    """
    losses = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
    return (losses * weights).sum()
