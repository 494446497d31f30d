"""One pass through every part of a model, on made-up images and texts: what conversion compares before and after reloading.

Runs in a process that knows nothing of this repository, so it takes everything from the two objects it is given.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
from torch import Tensor

RANGES = {"reflectance": (0.0, 0.5), "uint8": (0.0, 255.0), "sigma0_db": (-30.0, 5.0)}
TEXTS = ["a satellite image of water.", "fields"]


def parity_outputs(model: Any, processor: Any) -> dict[str, Tensor]:
    """Inputs, vectors of images and texts, of patches, and their cosines, of two images that hold every channel."""
    inputs = processor(images=[_scenes(processor, tall) for tall in (False, True)], text=TEXTS).to(model.device)
    output = model(**inputs)
    return {
        "input_ids": inputs["input_ids"],
        "pixel_values": inputs["pixel_values"],
        "image_embeds": output.image_embeds,
        "text_embeds": output.text_embeds,
        "logits": output.logits_per_image,
        "patches": model.dense_features(inputs["pixel_values"], kind="value"),
    }


def _scenes(processor: Any, tall: bool) -> dict[str, Any]:
    """One scene for each role that a channel names first, with waves of another length in each band."""
    bands: dict[str, list[str]] = {}
    for (role, band), *_ in processor.options.sources:
        bands.setdefault(role, []).append(band)
    side = 2 * processor.options.image_size
    return {role: _scene(role, names, size=(side + 20, side) if tall else (side, side)) for role, names in bands.items()}


def _scene(role: str, bands: list[str], *, size: tuple[int, int]) -> Any:
    unit = {"rgb": "uint8", "sar": "sigma0_db"}.get(role, "reflectance")
    rows, columns = np.mgrid[: size[0], : size[1]] / min(size)
    waves = np.stack([np.sin(6 * (number + 1) * rows) * np.cos(4 * (number + 2) * columns) for number in range(len(bands))])
    low, high = RANGES[unit]
    values = (low + (high - low) * (0.5 + 0.5 * waves)).astype(np.float32)
    return SimpleNamespace(pixels=np.rint(values) if unit == "uint8" else values, bands=tuple(bands), unit=unit)
