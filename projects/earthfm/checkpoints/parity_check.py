"""One pass through every part of a model, on made-up images: what conversion compares before and after reloading.

Runs in a process that knows nothing of this repository, so it takes everything from the two objects it is given.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
from torch import Tensor

SCENES = {
    "sentinel2_l2a": ("reflectance", (0.0, 0.5), ("B12", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B01", "B09")),
    "sentinel1": ("sigma0_db", (-30.0, 0.0), ("VH", "VV")),
    "landsat": ("reflectance", (0.0, 0.5), ("B2", "B3", "B4", "B5", "B6", "B7")),
}
"""Sensor -> unit, range and bands of its scenes; Landsat's lack some."""
QUESTION, ANSWER = "What is there?", "Water and fields."


def parity_outputs(model: Any, processor: Any) -> dict[str, Tensor]:
    """Token ids, what the language model is told of the images, and logits, of a sample with every sensor and one with two dates of one."""
    batch = processor.collate(_samples(processor))
    batch = batch._replace(prompts=_moved(batch.prompts, model.device))
    output = model(batch)
    return {"input_ids": batch.prompts.input_ids, "image_tokens": output.image_tokens, "logits": output.logits}


def _samples(processor: Any) -> list[Any]:
    """Roles that stand for one sensor are shown once."""
    roles = {processor.options.inputs[role]: role for role in reversed(processor.options.roles)}
    side = processor.options.image_size or 4 * processor.options.patch_size
    turns = [("user", QUESTION), ("assistant", ANSWER)]
    every = {role: _scene(sensor, side, time="2021-06-03") for sensor, role in roles.items()}
    sensor, role = min(roles.items())
    series = {role: [_scene(sensor, side, time="2021-06-03"), _scene(sensor, side, time="2021-09-30")]}
    return [processor.encode(every, turns, sample_id="all sensors"), processor.encode(series, turns, sample_id="two dates")]


def _scene(sensor: str, side: int, *, time: str) -> Any:
    unit, (low, high), bands = SCENES[sensor]
    rows, columns = np.mgrid[:side, :side] / side
    phase = len(time) + int(time[5:7])
    waves = np.stack([np.sin(6 * (number + 1) * rows + phase) * np.cos(4 * (number + 2) * columns) for number in range(len(bands))])
    return SimpleNamespace(pixels=(low + (high - low) * (0.5 + 0.5 * waves)).astype(np.float32), bands=bands, unit=unit, time=time)


def _moved(value: Any, device: Any) -> Any:
    """The same with its tensors on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_moved(part, device) for part in value))
    return value
