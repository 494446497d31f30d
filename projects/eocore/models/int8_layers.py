"""Linear layers with weights in 8 bits, for answers on a CPU: torch's own kernels, which round the input too, anew for each call."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

LARGEST = 127
"""Of 8 bits with a sign."""


class Int8Linear(nn.Module):
    """A linear layer whose weight is held in 8 bits, with a scale for each output (symmetric).

    Args:
        layer: in float32, on the CPU; it is not changed.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        weight = layer.weight.detach()
        scales = (weight.abs().amax(1).double() / LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
        zeros = torch.zeros(len(scales), dtype=torch.long)
        with warnings.catch_warnings():  # torch announces that a later version will pack by other calls; those supported have these
            warnings.simplefilter("ignore", UserWarning)
            rounded = torch.quantize_per_channel(weight, scales, zeros, axis=0, dtype=torch.qint8)
        bias = None if layer.bias is None else layer.bias.detach()
        self._packed: Any = torch.ops.quantized.linear_prepack(rounded, bias)

    def forward(self, states: Tensor) -> Tensor:
        """(..., out_features) of states (..., in_features) float32."""
        # without reduce_range sums of 8-bit products overflow on processors without VNNI
        made: Tensor = torch.ops.quantized.linear_dynamic(states, self._packed, reduce_range=True)
        return made


def hold_in_int8(module: nn.Module) -> int:
    """Holds the weights of the linear layers of a float32 module on the CPU in 8 bits, in place, all but the output embedding.

    Returns:
        how many layers.
    """
    output = getattr(module, "get_output_embeddings", lambda: None)()
    names = [name for name, layer in module.named_modules() if type(layer) is nn.Linear and layer is not output]
    for name in names:
        layer = module.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        parent, _, child = name.rpartition(".")
        setattr(module.get_submodule(parent), child, Int8Linear(layer))
    return len(names)
