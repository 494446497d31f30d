"""A record's picture as one tower takes it, for stages that read pictures alone."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from aerith.model.processing_aerith import colours, resized
from eocore.data.records import Record
from eocore.data.sample_errors import named_after
from eocore.portable.normalisation import normalise
from eocore.sensors.scene import Scene, by_role


class Pictures:
    """Resizes and normalises pictures, as the processor and the model do together.

    Args:
        side: of the tower's image [px].
        mean, std: of its normalisation, on a 0..1 scale.
    """

    def __init__(self, side: int, *, mean: Sequence[float], std: Sequence[float]) -> None:
        self.side, self.mean, self.std = side, mean, std

    def __call__(self, record: Record, scenes: Sequence[Scene]) -> Tensor:
        """(3, S, S) float32. Raises AlignmentError where the record has no picture, or another image."""
        with named_after(record):
            pixels = colours(by_role(scenes, source=record.source), record.sample_id)
        return normalise(resized(pixels, self.side)[None], self.mean, std=self.std)[0]


def class_shares(masks: Sequence[np.ndarray], grid: int) -> Tensor:
    """(P, K) share of each class in each of grid x grid patches, row by row.

    Args:
        masks: K of (H, W) bool.
        grid: patches along a side.
    """
    stacked = torch.from_numpy(np.stack(masks).astype(np.float32))
    return torch.nn.functional.adaptive_avg_pool2d(stacked, grid).flatten(1).T.contiguous()
