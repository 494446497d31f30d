"""A scene as a picture for people: true colour where the sensor has it, else one band as grey."""

import numpy as np

from eocore.sensors.bands import get_sensor
from eocore.sensors.scene import Scene

COLOURS = ("red", "green", "blue")
PERCENTILES = (2, 98)
"""Values below and above are shown as black and white; common practice, keeps single bright pixels from darkening the rest."""


def display_image(scene: Scene) -> np.ndarray:
    """(H, W, 3) uint8: red, green and blue as they are (display images) or stretched, or the first band as grey; no data is black."""
    layers = scene.pixels[_shown_layers(scene)]
    if scene.unit != "uint8":
        layers = np.stack([_stretched(layer) for layer in layers])
    picture = np.rint(np.clip(np.nan_to_num(layers, nan=0.0), 0.0, 255.0)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(picture.transpose(1, 2, 0), (*scene.size, 3)))


def _shown_layers(scene: Scene) -> list[int]:
    sensor = get_sensor(scene.sensor)
    names = [sensor.canonical_name(colour) for colour in COLOURS]
    if all(name in scene.bands for name in names):
        return [scene.bands.index(str(name)) for name in names]
    return [0]


def _stretched(layer: np.ndarray) -> np.ndarray:
    known = layer[np.isfinite(layer)]
    if not known.size:
        return np.zeros_like(layer)
    low, high = np.percentile(known, PERCENTILES)
    return (layer - low) / max(high - low, np.finfo(np.float32).tiny) * 255.0
