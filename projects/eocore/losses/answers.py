"""The loss of models that answer in text alone: cross-entropy of answers and their end token."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from eocore.errors import ConfigError
from eocore.losses.text import token_cross_entropy

TEXT_MEANS = ("samples", "tokens")
SAMPLES, SUPERVISED = "samples", "supervised_tokens"
"""Items that the loss is a mean over, by the names of `num_items_in_batch`."""


@dataclass(frozen=True, kw_only=True)
class AnswerLossSettings:
    """Choices.

    Attributes:
        text_mean: over what the loss is the mean: "tokens" (each supervised token of the whole update counts alike, all ranks and batches
            together) or "samples" (each sample counts alike, however long its answers).
    """

    text_mean: str = "tokens"

    def __post_init__(self) -> None:
        if self.text_mean not in TEXT_MEANS:
            raise ConfigError(f"losses.text_mean='{self.text_mean}' is unknown; choices: {', '.join(TEXT_MEANS)}.")

    @property
    def item(self) -> str:
        """What the loss is the mean over, by its name in `num_items_in_batch`."""
        return SUPERVISED if self.text_mean == "tokens" else SAMPLES


def answer_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    weights: Tensor,
    num_samples: int,
    settings: AnswerLossSettings,
    num_items_in_batch: Mapping[str, float] | None = None,
) -> Tensor:
    """The loss of the supervised tokens of a batch [nat]; 0 without any.

    Args:
        logits: (M, V), one row per supervised token.
        targets: (M,) token ids.
        weights: (M,) 1 / supervised tokens of the token's sample / samples of the batch.
        num_samples: of the batch.
        settings: choices.
        num_items_in_batch: mean number of samples and of supervised tokens in a batch, over the whole update; None: means over this batch.
    """
    means = num_items_in_batch or {SAMPLES: num_samples, SUPERVISED: len(targets)}
    if settings.item == SUPERVISED:
        weights = torch.ones_like(weights) / max(means[SUPERVISED], 1.0)
    else:
        weights = weights * (num_samples / means[SAMPLES])
    return token_cross_entropy(logits, targets, weights=weights)


def token_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    """Fraction of supervised tokens that the model would have written, the ones before them given; 0 without any.

    Args:
        logits: (M, V), one row per supervised token.
        targets: (M,) token ids.
    """
    right = (logits.detach().argmax(-1) == targets).float()
    return right.mean() if len(right) else right.sum()
