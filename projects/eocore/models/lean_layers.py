"""Norms and gated units of a language model that keep less for backward; weights, their names and, but for rounding, results stay.

transformers' RMSNorm keeps its input in float32 and the normalised input; the product of a gated unit keeps the activated gate beside gate
and value. Here backward computes them again from the input, or from gate and value, which the layers before keep or share anyway.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm
from transformers.models.qwen2.modeling_qwen2 import Qwen2MLP, Qwen2RMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3MLP, Qwen3RMSNorm
from typing_extensions import override

from eocore.errors import ConfigError

NORMS = (Qwen2RMSNorm, Qwen3RMSNorm, LlamaRMSNorm)
UNITS = (Qwen2MLP, Qwen3MLP, LlamaMLP)
GATE = "silu"
"""The activation of gates that is known here."""


def make_lean(model: nn.Module) -> int:
    """Makes the norms and gated units of `model` keep less, in place; where no gradient is needed they compute as before. Returns how many.

    Raises:
        ConfigError: there are none, or a unit has another activation than silu.
    """
    norms = [module for module in model.modules() if isinstance(module, NORMS)]
    units = [module for module in model.modules() if isinstance(module, UNITS)]
    if not norms and not units:
        raise ConfigError(f"task.lean_layers: {type(model).__name__} has no norms or gated units of Qwen2, Qwen3 or Llama. Leave it out.")
    other = {str(unit.config.hidden_act) for unit in units} - {GATE}
    if other:
        raise ConfigError(f"task.lean_layers: gated units with the activation {', '.join(sorted(other))}, expected {GATE}. Leave it out.")
    for norm in norms:
        norm.forward = _LeanNorm(norm)
    for unit in units:
        unit.forward = _LeanUnit(unit)
    return len(norms) + len(units)


class _LeanNorm:
    """`forward` of a norm."""

    def __init__(self, norm: Any) -> None:
        self._norm = norm

    def __call__(self, hidden_states: Tensor) -> Tensor:
        norm = self._norm
        if not (torch.is_grad_enabled() and (hidden_states.requires_grad or norm.weight.requires_grad)):
            found: Tensor = type(norm).forward(norm, hidden_states)
            return found
        scaled: Tensor = _ScaledNorm.apply(hidden_states, norm.weight, norm.variance_epsilon)
        return scaled


class _LeanUnit:
    """`forward` of a gated unit."""

    def __init__(self, unit: Any) -> None:
        self._unit = unit

    def __call__(self, x: Tensor) -> Tensor:
        gate, value = self._unit.gate_proj(x), self._unit.up_proj(x)
        product = _GatedProduct.apply(gate, value) if torch.is_grad_enabled() else self._unit.act_fn(gate) * value
        found: Tensor = self._unit.down_proj(product)
        return found


class _ScaledNorm(torch.autograd.Function):
    """w * x / sqrt(mean(x^2) + eps) over the last dimension, normalised in float32 (Zhang and Sennrich 2019, arXiv 1910.07467)."""

    @staticmethod
    @override
    def forward(ctx: Any, states: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = states.float()
        factor = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(states, weight, factor)
        return weight * (wide * factor).to(states.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        states, weight, factor = ctx.saved_tensors
        (gradient,) = gradients
        normal = states.float() * factor
        of_weight = None
        if ctx.needs_input_grad[1]:
            of_weight = (gradient * normal.to(states.dtype)).flatten(0, -2).sum(0)
        scaled = (gradient * weight).float()
        of_states = factor * (scaled - normal * (scaled * normal).mean(-1, keepdim=True))
        return of_states.to(states.dtype), of_weight, None


class _GatedProduct(torch.autograd.Function):
    """silu(gate) * value (Shazeer 2020, arXiv 2002.05202)."""

    @staticmethod
    @override
    def forward(ctx: Any, gate: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(gate, value)
        return nn.functional.silu(gate) * value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        gate, value = ctx.saved_tensors
        (gradient,) = gradients
        return torch.ops.aten.silu_backward(gradient * value, gate), gradient * nn.functional.silu(gate)
