"""What EarthFM is trained by: the answers, word by word."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from earthfm.model.batching import Batch
from earthfm.model.modeling_earthfm import EarthFmOutput
from eocore.errors import ConfigError
from eocore.losses.text import token_cross_entropy

TEXT_MEANS = ("samples", "tokens")
SAMPLES, SUPERVISED = "samples", "supervised_tokens"
"""Items that the loss is a mean over, by the names of `num_items_in_batch`."""


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """Choices.

    Attributes:
        text_mean: over what the loss is the mean: "tokens" (each supervised token counts alike, as upstream) or "samples".
    """

    text_mean: str = "tokens"

    def __post_init__(self) -> None:
        if self.text_mean not in TEXT_MEANS:
            raise ConfigError(f"losses.text_mean='{self.text_mean}' is unknown; choices: {', '.join(TEXT_MEANS)}.")


def count_items(batch: Batch) -> dict[str, int]:
    """Items of a batch that its loss is a mean over."""
    return {SAMPLES: batch.prompt.num_samples, SUPERVISED: len(batch.prompt.supervised.targets)}


def compute_losses(
    output: EarthFmOutput, batch: Batch, *, settings: LossSettings, num_items_in_batch: Mapping[str, float] | None = None
) -> dict[str, Tensor]:
    """`loss_text`: cross-entropy of answers and their end token [nat].

    Args:
        output: of the model for `batch`.
        batch: on the model's device.
        settings: choices.
        num_items_in_batch: mean number of each item of `count_items` in a batch, over the whole update; None: means over this batch.
    """
    assert output.logits is not None
    means = num_items_in_batch or count_items(batch)
    own = batch.prompt.supervised.weights
    by_sample = own * (batch.prompt.num_samples / means[SAMPLES])
    weights = by_sample if settings.text_mean == "samples" else torch.ones_like(own) / max(means[SUPERVISED], 1.0)
    return {"loss_text": token_cross_entropy(output.logits, batch.prompt.supervised.targets, weights=weights)}


def token_accuracy(output: EarthFmOutput, batch: Batch) -> Tensor:
    """Fraction of supervised tokens that the model would have written, the ones before them given; 0 without any."""
    assert output.logits is not None
    right = (output.logits.detach().argmax(-1) == batch.prompt.supervised.targets).float()
    return right.mean() if len(right) else right.sum()
