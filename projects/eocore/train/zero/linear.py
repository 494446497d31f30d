"""The linear layer that ZeRO-3 works with, which keeps for backward no more than a plain one.

A plain layer keeps a view of its gathered weight, and with it the whole weight, until backward. So DeepSpeed puts a layer of its own in
place of `torch.nn.functional.linear`, which keeps the parameter and gathers it again. That one keeps its input too, which only the
gradient of a weight that trains needs: one input too many for each frozen layer without LoRA beside it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from eocore.train.device import require_deepspeed

require_deepspeed()

from deepspeed.runtime.zero.linear import LinearFunctionForZeroStage3, zero3_linear_wrap  # noqa: E402  (the accelerator comes before)


class LeanLinear(LinearFunctionForZeroStage3):
    """DeepSpeed's, without the input where the weight is frozen."""

    @staticmethod
    @override
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """What backward will find."""
        states, weight, *bias = inputs
        LinearFunctionForZeroStage3.setup_context(ctx, (states if weight.requires_grad else None, weight, *bias), output)


lean_linear: Callable[..., Tensor] = LeanLinear.apply
"""lean_linear(input (..., I), weight (O, I), bias (O,) or None): (..., O), called like torch.nn.functional.linear."""


def use_lean_linear() -> None:
    """Replaces DeepSpeed's layer, where an engine has put it in place; for the whole process, like DeepSpeed's own."""
    if torch.nn.functional.linear is zero3_linear_wrap:
        torch.nn.functional.linear = lean_linear
