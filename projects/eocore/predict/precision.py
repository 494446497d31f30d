"""In what precision a model answers (`--dtype`)."""

from collections.abc import Mapping
from typing import Any

import torch

from eocore.errors import ConfigError
from eocore.log import get_logger
from eocore.models.int8_layers import hold_in_int8
from eocore.system import DTYPES, INT8, PredictorOptions


def load_dtype(options: PredictorOptions, device: str) -> Any:
    """In what weights are loaded, as transformers' `from_pretrained` takes it.

    Raises:
        ConfigError: `options.dtype` is unknown, or int8 is asked for on another device than a CPU.
    """
    if options.dtype is None:
        return torch.float32 if options.float32_on_cpu and device == "cpu" else "auto"
    if options.dtype not in DTYPES:
        raise ConfigError(f"dtype '{options.dtype}': expected one of {', '.join(DTYPES)}.")
    if options.dtype == INT8:
        if device != "cpu":
            raise ConfigError(f"dtype {INT8} is for CPUs, and the model answers on {device}. Take bfloat16 there, or --device cpu.")
        return torch.float32
    if options.dtype == "bfloat16" and device == "cpu" and not has_bfloat16():
        get_logger().warning("this CPU has no instructions for bfloat16: answers take half the memory of float32, but longer.")
    return torch.bfloat16 if options.dtype == "bfloat16" else torch.float32


def has_bfloat16() -> bool:
    """Whether torch finds instructions for products in bfloat16 on this CPU; True where this version of torch does not tell."""
    if not hasattr(torch.cpu, "get_capabilities"):
        return True
    capabilities: Mapping[str, Any] = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def settle(model: Any, options: PredictorOptions) -> Any:
    """The model, loaded in `load_dtype`, as it answers: with int8, the linear layers of its language model in 8 bits, in place.

    Raises:
        ConfigError: int8 is asked for, and the model has no language model.
    """
    if options.dtype == INT8:
        language_model = getattr(model, "language_model", None)
        if language_model is None:
            raise ConfigError(f"dtype {INT8}: it is for language models, and {type(model).__name__} has none. Take float32 or bfloat16.")
        hold_in_int8(language_model)
    return model
