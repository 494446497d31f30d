"""peft's linear layer with LoRA, as it is trained here: less kept for backward and less drawn at random, the same result in expectation.

peft drops numbers of the input, keeps what is left beside the input itself, and scales the update at the width of the layer's output. Here
backward gets the input, which the layers that read it fraction, and one byte a number that says what was dropped; scales are applied where
the update is narrow, at LoRA's rank.
"""

from typing import Any, cast

import torch
from peft.tuners.lora import Linear as PeftLinear
from torch import Tensor, nn
from typing_extensions import override

DRAWS_PER_WORD = 4
"""Draws of 16 bits in a random number of 64."""
LEVELS = 1 << 16
"""Values of such a draw."""


class LoraLinear(PeftLinear):
    """Result of the layer it stands beside plus scaling x B A x; everything else is peft's."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(..., O) of x (..., I)."""
        if self.disable_adapters or self.merged or args or kwargs or len(self.active_adapters) != 1:
            return cast(Tensor, super().forward(x, *args, **kwargs))
        (adapter,) = self.active_adapters
        first, dropout = self.lora_A[adapter], self.lora_dropout[adapter]
        result = self.base_layer(x)
        narrow = first(x.to(first.weight.dtype), dropped=dropout.p if isinstance(dropout, nn.Dropout) and self.training else 0.0)
        return cast(Tensor, (result + self.lora_B[adapter](narrow * self.scaling[adapter])).to(result.dtype))


class DroppedLinear(nn.Linear):
    """A linear layer without bias that can leave out a fraction of the numbers of its input at random (Srivastava et al. 2014)."""

    def forward(self, input: Tensor, dropped: float = 0.0) -> Tensor:
        """(..., O) of input (..., I), of which a fraction `dropped` is left out and the rest scaled up."""
        if not dropped:
            return super().forward(input)
        if torch.compiler.is_compiling() or _is_autocast(input.device.type):
            # a compiler merges these by itself, and autocast chooses the precision of torch's operators alone
            return super().forward(nn.functional.dropout(input, dropped))
        return cast(Tensor, _DroppedProduct.apply(input, self.weight, dropped))


def lean(layer: PeftLinear) -> None:
    """Makes peft's layer a `LoraLinear`, in place; names of modules and parameters stay, and peft's own forward continues working.

    A layer of a variant that computes otherwise (DoRA) stays as it is.
    """
    if getattr(layer, "lora_variant", None):
        return
    layer.__class__ = LoraLinear
    for first in layer.lora_A.values():
        first.__class__ = DroppedLinear


def draw_kept(shape: torch.Size, dropped: float, *, device: torch.device) -> tuple[Tensor, float]:
    """Which numbers stay, bool of `shape`, and the fraction of them that is expected to.

    A CPU draws single numbers slowly, so there four fraction a random number of 64 bits; `dropped` is rounded to 1 / 65,536.
    """
    if device.type != "cpu":
        return torch.empty(shape, dtype=torch.bool, device=device).bernoulli_(1 - dropped), 1 - dropped
    bound = round(dropped * LEVELS)
    words = torch.empty(-(-shape.numel() // DRAWS_PER_WORD), dtype=torch.int64, device=device)
    draws = words.random_(torch.iinfo(torch.int64).min, None).view(torch.int16)[: shape.numel()].view(shape)
    return draws >= bound - LEVELS // 2, 1 - bound / LEVELS


class _DroppedProduct(torch.autograd.Function):
    """Product with the input that is left; backward leaves it out once more instead of keeping it."""

    @staticmethod
    @override
    def forward(ctx: Any, states: Tensor, weight: Tensor, dropped: float) -> Tensor:
        kept, fraction = draw_kept(states.shape, dropped, device=states.device)
        ctx.save_for_backward(states, weight, kept)
        ctx.scale = 1 / fraction
        # not in place: selective recomputation holds the product itself
        return (_left(states, kept) @ weight.t()) * ctx.scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        states, weight, kept = ctx.saved_tensors
        scaled = gradients[0] * ctx.scale
        for_states = _left(scaled @ weight, kept) if ctx.needs_input_grad[0] else None
        for_weight = scaled.flatten(0, -2).t() @ _left(states, kept).flatten(0, -2) if ctx.needs_input_grad[1] else None
        return for_states, for_weight, None


def _is_autocast(device_type: str) -> bool:
    return torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)


def _left(values: Tensor, kept: Tensor) -> Tensor:
    return torch.where(kept, values, values.new_zeros(()))
