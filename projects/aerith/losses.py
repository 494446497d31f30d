"""What Aerith is trained by: answers in text, and the alignment of DINOv3's head with CLIP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from aerith.model.batching import Batch
from eocore.errors import ConfigError
from eocore.losses.text import token_cross_entropy

MEANS = ("samples", "tokens")
SUPERVISED = "supervised_tokens"
"""Item that the text loss is a mean over, by its name in `num_items_in_batch`."""


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """Choices.

    Attributes:
        text_mean: over what the text loss is the mean: "tokens" of the whole update (as LHRS-Bot, of each batch), or "samples", each of
            which counts alike, however long its answers.
    """

    text_mean: str = "tokens"

    def __post_init__(self) -> None:
        if self.text_mean not in MEANS:
            raise ConfigError(f"losses.text_mean='{self.text_mean}' is unknown; choices: {', '.join(MEANS)}.")


def text_loss(logits: Tensor, batch: Batch, *, settings: LossSettings, num_items_in_batch: Mapping[str, float] | None = None) -> Tensor:
    """Cross-entropy of the supervised tokens [nat].

    Args:
        logits: (M, V) of the model.
        batch: that they are of.
        settings: choices.
        num_items_in_batch: mean number of supervised tokens in a batch over all batches of the update; None: of this batch.
    """
    supervised = batch.prompts.supervised
    own = supervised.weights
    if settings.text_mean == "tokens":
        count = (num_items_in_batch or {}).get(SUPERVISED, len(own))
        own = torch.ones_like(own) / max(count, 1.0)
    return token_cross_entropy(logits, supervised.targets, weights=own)


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
