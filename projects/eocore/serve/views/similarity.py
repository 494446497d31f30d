"""How well a text fits each pixel, as a picture."""

import io

import numpy as np
from PIL import Image

STEPS = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], np.float32)
"""Colours from the lowest to the highest value. Source: five of matplotlib's map viridis."""
HEAT = 0.6
"""Share of the colours in the picture; the rest is the image in grey."""
LONGER_SIDE_PX = 512


def similarity_png(scores: np.ndarray, image: bytes) -> tuple[bytes, float, float]:
    """A PNG of an image in grey under the colours of its scores, and the lowest and highest of these.

    Args:
        scores: (H, W); not finite = without data, which is clear.
        image: PNG of the same ground.
    """
    known = np.isfinite(scores)
    low, high = (float(scores[known].min()), float(scores[known].max())) if known.any() else (0.0, 0.0)
    shares = np.where(known, (scores - low) / (high - low) if high > low else 0.5, 0.0)
    heat = np.stack([np.interp(shares, np.linspace(0, 1, len(STEPS)), STEPS[:, channel]) for channel in range(3)], axis=-1)
    height, width = scores.shape
    factor = min(LONGER_SIDE_PX / max(height, width), 1.0)
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    grey = np.asarray(Image.open(io.BytesIO(image)).convert("L").resize((width, height)), np.float32)[..., None]
    mixed = np.clip(HEAT * heat + (1 - HEAT) * grey, 0, 255)
    picture = np.dstack([mixed, np.where(known, 255, 0)]).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(picture).resize(size).save(content, format="PNG")
    return content.getvalue(), low, high
