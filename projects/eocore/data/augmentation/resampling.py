"""Images resampled in the unit in which averaging is physical, blind to pixels without data."""

import numpy as np
from PIL import Image

DECIBEL = "sigma0_db"
DISPLAY_UNIT = "uint8"
LEAST_WEIGHT = 0.5
"""Fraction of a new pixel [1] that must come of pixels with data."""


def resample(pixels: np.ndarray, size: tuple[int, int], *, unit: str) -> np.ndarray:
    """(C, h, w) float32 at `size` (height, width), bilinear and averaged where pixels become larger.

    Backscatter is averaged as linear power, everything else as it is. Pictures of 8 bits stay whole numbers.

    Args:
        pixels: (C, H, W) float32, NaN where there is no data.
        size: wanted.
        unit: of the pixels.
    """
    if pixels.shape[1:] == size:
        return pixels
    values = 10 ** (pixels / 10) if unit == DECIBEL else pixels
    resampled = np.stack([_layer(layer, size) for layer in values])
    if unit == DECIBEL:
        resampled = 10 * np.log10(np.maximum(resampled, np.finfo(np.float32).tiny))
    if unit == DISPLAY_UNIT:
        resampled = np.clip(np.rint(resampled), 0, 255)
    return resampled.astype(np.float32)


def _layer(layer: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    known = np.isfinite(layer)
    if known.all():
        return _resize(layer, size)
    weight = _resize(known.astype(np.float32), size)
    total = _resize(np.where(known, layer, 0).astype(np.float32), size)
    return np.where(weight >= LEAST_WEIGHT, total / np.maximum(weight, LEAST_WEIGHT), np.float32(np.nan))


def _resize(layer: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    picture = Image.fromarray(np.ascontiguousarray(layer, dtype=np.float32))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))
