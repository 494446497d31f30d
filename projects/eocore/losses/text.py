"""Cross-entropy of the supervised tokens alone."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from typing_extensions import override

LOGITS_AT_ONCE = 2**24
"""Held in float32 at a time: 64 MiB."""


def token_cross_entropy(logits: Tensor, targets: Tensor, *, weights: Tensor) -> Tensor:
    """Weighted sum of the cross-entropies of single tokens [nat], in float32.

    Logits are taken to float32 a few rows at a time: beside them, backward holds their gradient and nothing else of their size.

    Args:
        logits: (M, V), one row per supervised token.
        targets: (M,) token ids.
        weights: (M,); weights that sum to 1 give a mean. Without any token the result is 0 (not NaN) and keeps its graph.
    """
    losses: Tensor = _RowCrossEntropy.apply(logits, targets)
    return (losses * weights).sum()


class _RowCrossEntropy(torch.autograd.Function):
    """logsumexp(x) - x[target] of each row; its gradient is softmax(x) less 1 at the target."""

    @staticmethod
    @override
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        norms = torch.cat([logits[rows].float().logsumexp(1) for rows in _parts(logits)])
        ctx.save_for_backward(logits, targets, norms)
        return norms - logits.gather(1, targets[:, None]).squeeze(1).float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        logits, targets, norms = ctx.saved_tensors
        (scales,) = gradients
        gradient = torch.empty_like(logits)
        for rows in _parts(logits):
            likely = (logits[rows].float() - norms[rows, None]).exp_()
            likely.scatter_add_(1, targets[rows, None], likely.new_full((len(likely), 1), -1.0))
            gradient[rows] = likely.mul_(scales[rows, None]).to(logits.dtype)
        return gradient, None


def _parts(logits: Tensor) -> list[slice]:
    """Rows that hold at most `LOGITS_AT_ONCE` logits together, at least one."""
    count = max(LOGITS_AT_ONCE // max(logits.shape[1], 1), 1)
    return [slice(start, start + count) for start in range(0, max(len(logits), 1), count)]
