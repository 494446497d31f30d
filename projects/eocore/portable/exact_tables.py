"""Tables that stay in float32 in a model of lower precision."""

from collections.abc import Callable
from typing import Any

from torch import nn

EXACT_TABLES = ("positional_embedding", "inv_freq", "original_inv_freq")
"""Buffers from which positions are encoded: SAM 2's random matrix, and the inverse frequencies of rotary positions.

An angle is their product with a coordinate or a position in the text, so what rounding takes from them grows with the position:
bfloat16 has 8 significant bits.
"""


def keep_exact_tables(module: nn.Module, apply: Callable[[], Any]) -> None:
    """Calls `apply`, which moves or casts the tensors of `module`; tables that it would round move, and keep their precision."""
    tables = [(part, name, table) for part in module.modules() for name, table in part._buffers.items() if name in EXACT_TABLES]
    apply()
    for part, name, table in tables:
        made = part._buffers[name]
        if table is not None and made is not None and made.dtype.itemsize < table.dtype.itemsize:
            part._buffers[name] = table.to(made.device)
