"""What MS-CLIP is trained by: pairs of images and texts over the global batch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from eocore.errors import ConfigError
from eocore.losses.pairs import Pairs, own_pairs, pair_accuracy, pairs_of, patch_pairs, sigmoid_loss, softmax_loss
from ms_clip.model.modeling_ms_clip import MsClipOutput

TEMPERATURE = "temperature"
KINDS = {"softmax": softmax_loss, "sigmoid": sigmoid_loss}


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """Choices and weights.

    Attributes:
        kind: "softmax" (symmetric InfoNCE, as CLIP) or "sigmoid" (as SigLIP; the model needs a bias).
        patch_alignment: fraction of the loss by patches (PACL); upstream's code has it as 0.2, switched off. 0 = none. "softmax" alone.
        ignore_same_text: whether pairs of other samples with the very same text are no negatives.
        max_scale: largest scale of cosines, as CLIP's.
    """

    kind: str = "softmax"
    patch_alignment: float = 0.0
    ignore_same_text: bool = False
    max_scale: float = 100.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"losses.kind='{self.kind}' is unknown; choices: {', '.join(KINDS)}.")
        if not 0 <= self.patch_alignment < 1:
            raise ConfigError(f"losses.patch_alignment={self.patch_alignment}, expected a fraction from 0 up to, not including, 1.")
        if self.patch_alignment and self.kind != "softmax":
            raise ConfigError("losses.patch_alignment goes with losses.kind='softmax' alone. Set it to 0, or choose that.")
        if not self.max_scale > 0:
            raise ConfigError(f"losses.max_scale={self.max_scale}, expected a positive number; CLIP: 100.")


def compute_losses(output: MsClipOutput, keys: Tensor, *, settings: LossSettings, alone: bool = False) -> dict[str, Tensor]:
    """`loss_*` and metrics of a batch.

    Args:
        output: of the model, of this rank's pairs.
        keys: (N,) whole numbers, equal where texts are.
        settings: see there.
        alone: the batch is compared with itself, not with those of other ranks.
    """
    images, texts, scale = output.image_embeds, output.text_embeds, output.logit_scale
    assert images is not None and texts is not None and scale is not None
    scale = clamped(scale, settings.max_scale)
    compare = own_pairs if alone else pairs_of
    pairs = compare(images, texts, scale=scale, bias=output.logit_bias, keys=keys if settings.ignore_same_text else None)
    weight = settings.patch_alignment
    losses = {"loss_pairs": (1 - weight) * KINDS[settings.kind](pairs)}
    if weight:
        assert output.patch_embeds is not None
        losses["loss_patches"] = weight * softmax_loss(patch_pairs(output.patch_embeds, texts, scale=scale, pairs=pairs))
    return losses | _metrics(pairs, scale)


def clamped(scale: Tensor, largest: float) -> Tensor:
    """`scale`, at most `largest`; a gradient that would raise it further is dropped, one that lowers it passes.

    The parameter itself is left alone: with ZeRO the optimiser holds another copy of it.
    """
    value = scale + (scale.clamp(max=largest) - scale).detach()
    if value.requires_grad:
        beyond = scale.detach() > largest
        value.register_hook(lambda gradient: torch.where(beyond & (gradient < 0), torch.zeros_like(gradient), gradient))
    return value


def _metrics(pairs: Pairs, scale: Tensor) -> dict[str, Tensor]:
    return {
        "accuracy_image_to_text": pair_accuracy(pairs.per_image, pairs),
        "accuracy_text_to_image": pair_accuracy(pairs.per_text, pairs),
        TEMPERATURE: (1.0 / torch.clamp(scale.detach(), min=torch.finfo(torch.float32).tiny)).float(),
    }
