"""What EarthFM's encoder is trained by, before the bridge; the bridge's answers are trained by `eocore.losses.answers`."""

from torch import Tensor
from torch.nn import functional


def patch_loss(logits: Tensor, fractions: Tensor) -> Tensor:
    """Cross-entropy [nat] of the patches of images, a mean: logits (B, P, K), and the fraction (B, P, K) that each class covers."""
    return functional.cross_entropy(logits.flatten(0, 1), fractions.flatten(0, 1))


def patch_accuracy(logits: Tensor, fractions: Tensor) -> Tensor:
    """Fraction of the patches whose most likely class is the one that covers most; arguments as in `patch_loss`."""
    return (logits.detach().argmax(-1) == fractions.argmax(-1)).float().mean()
