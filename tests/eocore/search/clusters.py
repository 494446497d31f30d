"""Vectors around centres, as embeddings of many images lie: few things are shown, each many times."""

import numpy as np

NOISE = 0.5
"""Length of what is added to a centre of length 1: the cosine of two vectors of one centre is 0.8, as that of images of one land cover."""


def clustered(count: int, *, width: int, num_centres: int, seed: int = 0) -> np.ndarray:
    """(N, D) float32 of length 1."""
    draw = np.random.default_rng(seed)
    centres = unit(draw.standard_normal((num_centres, width), dtype=np.float32))
    noise = draw.standard_normal((count, width), dtype=np.float32) * (NOISE / width**0.5)
    return unit(centres[draw.integers(0, num_centres, count)] + noise)


def independent(count: int, *, width: int, seed: int = 0) -> np.ndarray:
    """(N, D) float32 of length 1, each in any direction."""
    return unit(np.random.default_rng(seed).standard_normal((count, width), dtype=np.float32))


def unit(vectors: np.ndarray) -> np.ndarray:
    found: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found
