"""How fast this machine multiplies matrices: the ceiling that other work is measured against."""

import torch

from profiling.measures.timing import time_once

CPU_SIDE, GPU_SIDE = 2048, 8192
"""Side of the square matrices: large enough that the multiplication alone counts."""
REPEATS = 8


def matrix_product_flops(device: torch.device, dtype: torch.dtype, *, side: int | None = None, repeats: int = REPEATS) -> float:
    """Floating-point operations a second of a square matrix product, the best of `repeats`; a multiplication with its addition is two.

    Args:
        device: where it runs.
        dtype: of the matrices; what the measured work computes in.
        side: of the matrices; by default one that fits the device.
        repeats: the first, which warms up, is not among them.
    """
    side = side or (GPU_SIDE if device.type == "cuda" else CPU_SIDE)
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty(side, side, device=device, dtype=dtype)
    torch.mm(left, right, out=out)
    seconds = min(time_once(lambda: torch.mm(left, right, out=out)) for _ in range(repeats))
    return 2 * side**3 / seconds
