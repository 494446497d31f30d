"""From uint8 pictures to the scale that the vision encoders were trained with."""

from collections.abc import Sequence

import torch
from torch import Tensor


def normalise(images: Tensor, mean: Sequence[float], *, std: Sequence[float]) -> Tensor:
    """(N, C, H, W) float32: (images / 255 - mean) / std.

    The constants are no buffers: a model cast to half precision would round them, and not be the model it is once cast back.

    Args:
        images: (N, C, H, W), 0 to 255.
        mean, std: of each channel, on a 0..1 scale.
    """
    # sent in passing: made on a GPU itself, the constants would have the host wait until the GPU has done all it was asked to
    shift, scale = (
        torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1).to(images.device, non_blocking=True) for values in (mean, std)
    )
    # in place: the batch's pixels are written once, not four times over
    return images.to(torch.float32, copy=True).div_(255.0).sub_(shift).div_(scale)
