"""Patch embeddings that take more channels than they were trained with."""

import torch
from torch import Tensor

from eocore.errors import CheckpointError


def widen_patch_embedding(weight: Tensor, num_channels: int) -> Tensor:
    """The same patch embedding for more channels: the first channels keep their weights, the new ones have zeros.

    Whatever the new channels hold, the output is that of the old channels until training moves the new weights.

    Args:
        weight: (D, 3, p, p) weight of the patch convolution.
        num_channels: C, at least as many as `weight` has.

    Returns:
        (D, C, p, p), of the dtype and on the device of `weight`.

    Raises:
        CheckpointError: `weight` has more channels than are wanted, or is not the weight of a convolution.
    """
    if weight.ndim != 4 or weight.shape[1] > num_channels:
        raise CheckpointError(
            f"cannot widen a patch embedding of shape {tuple(weight.shape)} to {num_channels} channels: expected (D, <= {num_channels}, "
            "p, p); trained channels would be lost. Check num_channels and the name of the weight."
        )
    width, known, height, breadth = weight.shape
    return torch.cat([weight, weight.new_zeros(width, num_channels - known, height, breadth)], dim=1)
