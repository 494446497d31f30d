"""The states of all random generators of a process, as plain numbers and text."""

import random
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor


def random_states() -> dict[str, Any]:
    """States of Python's, NumPy's and torch's generators, and of the GPU's where there is one; fit for JSON."""
    version, numbers, gauss = random.getstate()
    algorithm, keys, position, has_gauss, cached = cast(tuple[str, np.ndarray, int, int, float], np.random.get_state())
    states: dict[str, Any] = {
        "python": [version, list(numbers), gauss],
        "numpy": [algorithm, keys.tolist(), position, has_gauss, cached],
        "torch": torch.get_rng_state().numpy().tobytes().hex(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state().numpy().tobytes().hex()
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Brings back what `random_states` gave."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    algorithm, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((algorithm, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(_as_bytes(states["torch"]))
    if torch.cuda.is_available() and "cuda" in states:
        torch.cuda.set_rng_state(_as_bytes(states["cuda"]))


def _as_bytes(text: str) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)
