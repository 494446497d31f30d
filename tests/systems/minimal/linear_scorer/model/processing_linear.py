"""Pictures of any size -> one tensor."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import ProcessorMixin

from eocore.portable.band_rendering import as_scene, present
from eocore.portable.image_tiling import resize


class LinearProcessor(ProcessorMixin):
    """`size`: side of the pictures [px]."""

    def __init__(self, size: int = 16) -> None:
        self.size = size
        super().__init__()

    def __call__(self, images: Sequence[Any]) -> Tensor:
        """(N, 3, size, size) uint8 of scenes, arrays or Pillow images made for display."""
        shown = [present(as_scene(image), {}, num_channels=3)[0] for image in images]
        return torch.from_numpy(np.stack([resize(picture, (self.size, self.size)) for picture in shown]))
