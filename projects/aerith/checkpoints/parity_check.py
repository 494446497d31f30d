"""One pass through every part of a model, on made-up images: what conversion compares before and after reloading.

Runs in a process that knows nothing of this repository, so it takes everything from the two objects it is given.
"""

from typing import Any

import numpy as np
from torch import Tensor

TURNS = [("user", "<image>\n[CLS] What type of scene is this?"), ("assistant", "water")]


def parity_outputs(model: Any, processor: Any) -> dict[str, Tensor]:
    """Inputs, embeddings of two pictures of unlike shape, and logits where tokens are supervised, beside text alone."""
    side = processor.options.clip_size
    samples = [
        processor.encode({"rgb": _picture(side, 2 * side, turn=0)}, TURNS, sample_id="wide"),
        processor.encode({"rgb": _picture(2 * side, side, turn=1)}, TURNS, sample_id="tall"),
        processor.encode({}, [("user", "What is SAR?"), ("assistant", "Radar.")], sample_id="text"),
    ]
    batch = processor.collate(samples).to(model.device)
    output = model(batch)
    return {
        "input_ids": batch.prompts.input_ids,
        "clip_pixels": batch.images.clip,
        "dinov3_pixels": batch.images.dinov3,
        "image_tokens": output.image_tokens,
        "logits": output.logits,
    }


def _picture(height: int, width: int, *, turn: int) -> np.ndarray:
    """(H, W, 3) uint8 waves, of another length in each colour."""
    rows, columns = np.mgrid[:height, :width] / min(height, width)
    waves = [np.sin(6 * (number + 1) * rows + turn) * np.cos(4 * (number + 2) * columns) for number in range(3)]
    return np.rint(127.5 + 127.5 * np.stack(waves, axis=-1)).astype(np.uint8)
