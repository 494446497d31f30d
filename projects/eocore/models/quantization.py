"""Frozen linear layers held in 4 or 8 bits by bitsandbytes, to train LoRA beside them (QLoRA: Dettmers et al. 2023, arXiv:2305.14314)."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from eocore.dependencies import require_bitsandbytes
from eocore.errors import ConfigError

FORMATS = {4: ("nf4", "fp4"), 8: ("int8",)}
"""Bits -> number formats. int8: a scale for each row, rows of the input too (LLM.int8(): Dettmers et al. 2022, arXiv:2208.07339)."""
BLOCK = 64
"""Numbers that share a scale in 4 bits."""
SCALE_BYTES = {"plain": 4, "double": 1 + 4 / 256}
"""Of a block in 4 bits: float32, or 8 bits and a float32 for 256 of them."""
OUTLIERS = 6.0
"""Columns of the input with larger numbers are multiplied in 16 bits, in 8-bit layers. Source: LLM.int8(), section 3.2."""
ZERO_3 = 3
MARK = "in_few_bits"


@dataclass(frozen=True, kw_only=True)
class QuantizationOptions:
    """Config entry `task.quantization`.

    Attributes:
        bits: 4 or 8, of each number of a frozen linear layer.
        format: in 4 bits "nf4" or "fp4", in 8 bits "int8"; None = the first of these.
        double: the scales of the blocks are held in 8 bits; in 4 bits alone.
    """

    bits: int = 4
    format: str | None = None
    double: bool = True

    def __post_init__(self) -> None:
        if self.bits not in FORMATS:
            raise ConfigError(f"task.quantization.bits is {self.bits}; expected 4 or 8.")
        if self.format is not None and self.format not in FORMATS[self.bits]:
            choices = " or ".join(FORMATS[self.bits])
            raise ConfigError(f"task.quantization.format is {self.format!r}; with {self.bits} bits expected {choices}.")

    @property
    def bytes_per_number(self) -> float:
        """What a number of a layer takes, with its part of the scales; those of rows, in 8 bits, are left out."""
        if self.bits == 8:
            return 1.0
        return self.bits / 8 + SCALE_BYTES["double" if self.double else "plain"] / BLOCK


def quantize(module: nn.Module, options: QuantizationOptions) -> list[str]:
    """Holds the frozen linear layers of `module` in few bits, in place, all but the output embedding; returns their names.

    Names of parameters stay. Biases, embeddings, norms and what trains stay as they are. On the meta device there is nothing to round:
    layers stay plain and their weights are marked, for estimates.

    Raises:
        ConfigError: no linear layer is frozen, or bitsandbytes is not installed.
    """
    names = quantizable(module)
    if not names:
        raise ConfigError(
            f"task.quantization finds no frozen linear layer in {type(module).__name__}: what trains cannot be held in few bits. Take its "
            "layers out of task.trainable and train LoRA beside them (task.lora)."
        )
    weights = [module.get_submodule(name).weight for name in names]
    if weights[0].is_meta:
        for weight in weights:
            setattr(weight, MARK, True)
        return names
    require_bitsandbytes("task.quantization")
    # float32 inputs of 8-bit layers are rounded to 16 bits; told once for all by the documentation
    warnings.filterwarnings("ignore", message="MatMul8bitLt: inputs will be cast")
    for name in names:
        parent, _, child = name.rpartition(".")
        setattr(module.get_submodule(parent), child, _quantized(module.get_submodule(name), options))
    return names


def quantizable(module: nn.Module) -> list[str]:
    """Names of the linear layers that `quantize` changes."""
    output = getattr(module, "get_output_embeddings", lambda: None)()
    layers = ((name, layer) for name, layer in module.named_modules() if type(layer) is nn.Linear and layer is not output)
    return [name for name, layer in layers if not layer.weight.requires_grad]


def dequantize(module: nn.Module) -> int:
    """Makes plain layers, of the numbers that the quantised ones stand for, in place; returns how many. Names stay."""
    layers = [(name, layer) for name, layer in module.named_modules() if is_quantized(layer)]
    for name, layer in layers:
        plain = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        plain.weight = nn.Parameter(numbers_of(layer).float(), requires_grad=False)
        if layer.bias is not None:
            plain.bias = nn.Parameter(layer.bias.data.float(), requires_grad=layer.bias.requires_grad)
        parent, _, child = name.rpartition(".")
        setattr(module.get_submodule(parent), child, plain.train(layer.training))
    return len(layers)


def is_marked(weight: Tensor) -> bool:
    """Whether `quantize` met the weight on the meta device, and would hold it in few bits elsewhere."""
    return getattr(weight, MARK, False)


def is_quantized(layer: nn.Module) -> bool:
    """Whether a layer is one that `quantize` made."""
    return type(layer).__module__.startswith("bitsandbytes.")


def numbers_of(layer: Any) -> Tensor:
    """The weight (O, I) that a quantised layer computes with."""
    from bitsandbytes import functional

    if hasattr(layer.weight, "quant_state"):
        made: Tensor = functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        return made
    scales = layer.weight.SCB if layer.weight.SCB is not None else layer.state.SCB
    made = functional.int8_vectorwise_dequant(layer.weight.data, scales)
    return made


def scales_of(parameter: Tensor) -> list[Tensor]:
    """What the numbers of a quantised parameter are multiplied with; nothing for another."""
    state, rows = getattr(parameter, "quant_state", None), getattr(parameter, "SCB", None)
    blocks = [] if state is None else [state.absmax, *([state.state2.absmax, state.offset] if state.nested else [])]
    return [*blocks, *([] if rows is None else [rows])]


def num_numbers(parameter: Tensor) -> int:
    """Numbers of a parameter, two of which share a byte in 4 bits."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else torch.Size(state.shape).numel()


def check_stage(task: Mapping[str, Any], zero_config: Mapping[str, Any]) -> None:
    """Raise ConfigError if a task with quantised layers is to train under ZeRO-3."""
    if task.get("quantization") is not None and int(zero_config.get("zero_optimization", {}).get("stage", 0)) == ZERO_3:
        raise ConfigError(
            "task.quantization and ZeRO-3 do not go together: ZeRO-3 cuts every weight into pieces, and the packed numbers of a quantised "
            "layer would lose their scales. Set training.deepspeed to deepspeed_zero2 or lower; frozen layers are small in few bits."
        )


def _quantized(layer: nn.Module, options: QuantizationOptions) -> nn.Module:
    from bitsandbytes import nn as layers

    made: Any
    shape, bias = (layer.in_features, layer.out_features), layer.bias is not None
    if options.bits == 4:
        kind = options.format or FORMATS[4][0]
        made = layers.Linear4bit(*shape, bias=bias, compress_statistics=options.double, quant_type=kind, device="meta")
        made.weight = layers.Params4bit(
            layer.weight.data, requires_grad=False, compress_statistics=options.double, quant_type=kind, blocksize=BLOCK, module=made
        )
        made.support_avx512bf16_for_cpu = False  # it would pack the numbers otherwise in the first evaluation, for good
    else:
        made = layers.Linear8bitLt(*shape, bias=bias, has_fp16_weights=False, threshold=OUTLIERS, device="meta")
        made.weight = layers.Int8Params(layer.weight.data, requires_grad=False, has_fp16_weights=False)
    made.bias = layer.bias
    # the numbers are rounded where a weight is first moved to a device
    return made.to(layer.weight.device).train(layer.training)
