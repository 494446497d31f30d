"""One pass through every part of a model, on made-up images: what conversion compares before and after reloading.

Runs in a process that knows nothing of this repository, so it takes everything from the two objects it is given.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
from torch import Tensor

UNITS = {"rgb": "uint8", "multispectral": "reflectance", "sar": "sigma0_db"}
RANGES = {"rgb": (0.0, 255.0), "multispectral": (0.0, 0.5), "sar": (-30.0, 5.0)}
DISPLAY_BANDS = ("red", "green", "blue")
QUESTION = "<image>\nPlease segment the water in this image."
ANSWER = "Sure, [SEG] and [SEG]."


def parity_outputs(model: Any, processor: Any) -> dict[str, Tensor]:
    """Inputs, fused vision tokens, logits where tokens are supervised, and all candidate masks, of a sample with every sensor the
    processor knows how to show, one with a single sensor, and one of text alone."""
    batch = processor.collate(_samples(processor)).to(model.device)
    output = model(batch=batch)
    return {
        "input_ids": batch.input_ids,
        "tiles": batch.vision.tiles,
        "grounding_images": batch.grounding.images,
        "vision_tokens": output.fused.tokens,
        "logits": output.logits,
        "mask_logits": output.masks.candidates,
        "mask_scores": output.masks.iou_scores,
    }


def _samples(processor: Any) -> list[Any]:
    shown = [name for name, rule in processor.options.presentation.items() if name == "rgb" or _fits(rule, processor.options)]
    height, width = processor.options.tile_size, 2 * processor.options.tile_size
    mask = np.zeros((height, width), dtype=bool)
    mask[: height // 2, : width // 3] = True
    scenes = {name: _scene(name, processor.options.presentation[name], size=(height, width)) for name in shown}
    turns = [("user", QUESTION), ("assistant", ANSWER)]
    return [
        processor.encode(scenes, turns, masks=[mask, ~mask], sample_id="all sensors"),
        processor.encode({shown[-1]: scenes[shown[-1]]}, turns, masks=[mask, ~mask], sample_id="one sensor"),
        processor.encode({}, [("user", "What is SAR?"), ("assistant", "Radar.")], masks=[], sample_id="text"),
    ]


def _fits(rule: dict[str, Any], options: Any) -> bool:
    """Whether the vision tower and the fusion take such a sensor."""
    one_view = options.fuse_sensors and not options.average_views
    return all(len(view) == options.num_channels for view in rule["views"]) and not (one_view and len(rule["views"]) > 1)


def _scene(name: str, rule: dict[str, Any], *, size: tuple[int, int]) -> Any:
    """A scene that holds every band the rule names: waves of a different length in each, so that no two bands can be confused."""
    entries = [entry for view in [*rule["views"], rule.get("grounding") or []] for entry in view if entry != "zero"]
    named = dict.fromkeys(part for entry in entries for part in entry.removeprefix("ratio:").split("/"))
    bands = DISPLAY_BANDS if UNITS[name] == "uint8" else tuple(named)
    rows, columns = np.mgrid[: size[0], : size[1]] / min(size)
    waves = np.stack([np.sin(6 * (number + 1) * rows) * np.cos(4 * (number + 2) * columns) for number in range(len(bands))])
    low, high = RANGES[name]
    return SimpleNamespace(pixels=(low + (high - low) * (0.5 + 0.5 * waves)).astype(np.float32), bands=bands, unit=UNITS[name])
