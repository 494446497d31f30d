"""Images as users and readers have them -> normalised inputs of the encoder."""

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from eocore.portable.band_rendering import DISPLAY_UNIT, SceneArray, SceneLike, as_scene

from .processor_options import ProcessorOptions
from .sensor_inputs import Filled, Normaliser, SensorImage, SensorInputs, stack_images

LOGGER = logging.getLogger(__name__)
_COUNTING = threading.Lock()


class ImagePreparer:
    """Makes inputs of one sample's images.

    Args:
        options: of the processor.

    Attributes:
        filled: (sensor, band, source) -> images in which the band was missing and filled.
    """

    def __init__(self, options: ProcessorOptions) -> None:
        self.options = options
        self._normalise = Normaliser(options.version, options.fill_missing, options.display_mean, options.display_std)
        self.filled: Counter[tuple[str, str, str]] = Counter()

    def __call__(self, images: Any) -> SensorInputs:
        """Normalised images of one sample (B = 1).

        Args:
            images: role -> scene or scenes of several dates; scenes with a role; or one scene, or a picture.

        Raises:
            ValueError: no image has a role that the model reads, or one does not fit.
            TypeError: something is no image.
        """
        series: dict[str, list[tuple[str, SensorImage]]] = {}
        for role, scene in self._scenes(images):
            sensor = self.options.inputs[role]
            image = self._normalise(self._fitted(scene), sensor)
            self._count(image.filled)
            series.setdefault(sensor, []).append((str(getattr(scene, "time", "")), image))
        return stack_images(series, patch_size=self.options.patch_size, month_without_time=self.options.month_without_time)

    def _scenes(self, images: Any) -> Iterable[tuple[str, SceneLike]]:
        """(role, scene) of each image. Raise ValueError where a role is not read, or unclear."""
        roles = self.options.roles
        if isinstance(images, Mapping):
            found = [(str(role), one) for role, some in images.items() for one in (some if isinstance(some, list | tuple) else [some])]
        else:
            found = [(self._role(image), image) for image in (images if isinstance(images, list | tuple) else [images])]
        known = [(role, scene if hasattr(scene, "bands") else as_scene(scene)) for role, scene in found if role in roles]
        if not known:
            raise ValueError(
                f"the model reads images of the roles {', '.join(roles)}, found {', '.join(role for role, _ in found) or 'none'}."
            )
        return known

    def _role(self, image: Any) -> str:
        """The role of an image that is given without one."""
        named = getattr(image, "role", "")
        if named:
            return str(named)
        by_unit = {DISPLAY_UNIT: "rgb", "sigma0_db": "sar"}
        return by_unit.get(getattr(image, "unit", DISPLAY_UNIT), "multispectral")

    def _fitted(self, scene: SceneLike) -> SceneLike:
        """The scene at `image_size`. Raise ValueError if it is smaller and not to be resized."""
        side = self.options.image_size
        height, width = scene.pixels.shape[1:]
        if side is None or (height, width) == (side, side):
            return scene
        pixels = np.asarray(scene.pixels, dtype=np.float32)
        if self.options.fit == "resize":
            pixels = _resized(pixels, side)
        elif min(height, width) < side:
            raise ValueError(f"the image has {height} x {width} px, the model sees {side} x {side} px. Give a larger one, or fit='resize'.")
        top, left = ((length - side) // 2 for length in pixels.shape[1:])
        return _Cut(pixels[:, top : top + side, left : left + side], tuple(scene.bands), scene.unit, str(getattr(scene, "time", "")))

    def _count(self, filled: Filled) -> None:
        """Counts bands that were filled; each is told once."""
        with _COUNTING:
            for band, source in filled.bands.items():
                key = (filled.sensor, band, source)
                if not self.filled[key]:
                    how = f"copied from {source}, the nearest in wavelength" if source else "0 after normalisation"
                    LOGGER.warning("%s: band %s is missing and filled: %s (OlmoEarth %s).", filled.sensor, band, how, self.options.version)
                self.filled[key] += 1


@dataclass(frozen=True)
class _Cut(SceneArray):
    """A scene whose pixels were fitted, with its time."""

    time: str = ""


def _resized(pixels: np.ndarray, side: int) -> np.ndarray:
    """(C, h, w) with a short side of `side`, bicubic; where any source pixel of a value is unknown it is unknown."""
    height, width = pixels.shape[1:]
    size = (side, round(width * side / height)) if height <= width else (round(height * side / width), side)
    values = functional.interpolate(torch.from_numpy(pixels)[None], size=size, mode="bicubic", antialias=True, align_corners=False)
    found: np.ndarray = values[0].numpy()
    return found
