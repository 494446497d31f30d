"""Scores of images by the mean of each channel."""

from torch import Tensor, nn
from transformers import PreTrainedModel

from eocore.portable.normalisation import normalise

from .configuration_linear import LinearScorerConfig


class LinearScorer(PreTrainedModel):
    """One linear layer on the channel means."""

    config_class = LinearScorerConfig

    def __init__(self, config: LinearScorerConfig) -> None:
        super().__init__(config)
        self.layer = nn.Linear(3, len(config.classes))
        self.post_init()

    def forward(self, pixels: Tensor) -> Tensor:
        """Scores (N, C) of pictures (N, 3, H, W) uint8."""
        return self.layer(normalise(pixels, (0.5,) * 3, std=(0.5,) * 3).mean((2, 3)))
