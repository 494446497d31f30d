"""Changes of what sensors measure: brightness in physical units, speckle of SAR."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eocore.data.augmentation.drawing import check_probability, checked_range, draw_seed, scene_stream
from eocore.data.augmentation.resampling import DECIBEL, DISPLAY_UNIT
from eocore.data.changes import with_change
from eocore.data.io.readers import SceneHeader
from eocore.data.records import Record
from eocore.registry import TRANSFORMS
from eocore.sensors.ranges import HIGHEST_REFLECTANCE, POSSIBLE
from eocore.sensors.scene import Scene

REFLECTANCE = "reflectance"
Range = tuple[float, float]
FACTORS, OFFSETS_DB, LOOKS = (0.5, 2.0), (-6.0, 6.0), (1.0, 1000.0)


@dataclass(frozen=True)
class ChangeBrightness:
    """Each image of a record brightened or darkened by a number of its own, in its unit.

    Attributes:
        seed: of the numbers.
        reflectance: range of factors [1].
        sigma0_db: range of offsets [dB].
        uint8: range of factors [1] for pictures made for display.
    """

    seed: int
    reflectance: Range
    sigma0_db: Range
    uint8: Range

    def header(self, header: SceneHeader) -> SceneHeader:
        """See `SceneChange`."""
        return header

    def scene(self, scene: Scene) -> Scene:
        """See `SceneChange`; values stay in the range that the unit can have."""
        rng, pixels = scene_stream(self.seed, scene), scene.pixels
        if scene.unit == REFLECTANCE:
            changed = pixels * np.float32(rng.uniform(*self.reflectance))
            changed = np.clip(changed, POSSIBLE[REFLECTANCE][0], np.maximum(pixels, HIGHEST_REFLECTANCE))
        elif scene.unit == DECIBEL:
            changed = np.clip(pixels + np.float32(rng.uniform(*self.sigma0_db)), *POSSIBLE[DECIBEL])
        elif scene.unit == DISPLAY_UNIT:
            changed = np.clip(np.rint(pixels * np.float32(rng.uniform(*self.uint8))), 0, 255)
        else:
            return scene
        return replace(scene, pixels=changed.astype(np.float32))


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class RandomBrightness:
    """Brightens or darkens each image of a record on its own: illumination, haze correction, calibration.

    Images in kelvin stay as they are.

    Args:
        reflectance: smallest and largest factor on reflectance [1].
        sigma0_db: lowest and highest offset on backscatter [dB].
        uint8: smallest and largest factor on pictures made for display [1].
        probability: that the images of a record are changed.

    Raises:
        ConfigError: a range or probability out of range.
    """

    reflectance: tuple[float, float] = (0.85, 1.15)
    sigma0_db: tuple[float, float] = (-1.0, 1.0)
    uint8: tuple[float, float] = (0.85, 1.15)
    probability: float = 1.0

    def __post_init__(self) -> None:
        name = "RandomBrightness: "
        self._ranges: Mapping[str, Any] = {
            "reflectance": checked_range(name + "reflectance", self.reflectance, least=FACTORS[0], most=FACTORS[1]),
            "sigma0_db": checked_range(name + "sigma0_db", self.sigma0_db, least=OFFSETS_DB[0], most=OFFSETS_DB[1]),
            "uint8": checked_range(name + "uint8", self.uint8, least=FACTORS[0], most=FACTORS[1]),
        }
        check_probability("RandomBrightness", self.probability)

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record, its images to be changed or as they were."""
        is_drawn, seed = rng.random() < self.probability, draw_seed(rng)
        return with_change(record, record, change=ChangeBrightness(seed, **self._ranges)) if is_drawn and record.images else record


@dataclass(frozen=True)
class AddSpeckle:
    """Multiplicative speckle on linear power: gamma distributed, mean 1, variance 1 / looks, each pixel and polarisation by itself."""

    seed: int
    looks: float

    def header(self, header: SceneHeader) -> SceneHeader:
        """See `SceneChange`."""
        return header

    def scene(self, scene: Scene) -> Scene:
        """See `SceneChange`; images that are no backscatter stay as they are."""
        if scene.unit != DECIBEL:
            return scene
        power = scene_stream(self.seed, scene).gamma(self.looks, 1 / self.looks, scene.pixels.shape)
        speckle_db = 10 * np.log10(np.maximum(power, np.finfo(np.float32).tiny))
        return replace(scene, pixels=np.clip(scene.pixels + speckle_db, *POSSIBLE[DECIBEL]).astype(np.float32))


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class RandomSpeckle:
    """Adds speckle to backscatter (sigma0 in dB), as of fewer looks. SAR made into pictures of 8 bits stays as it is.

    An image of L looks becomes one of about 1 / (1 / L + 1 / looks + 1 / (L looks)).

    Args:
        looks: smallest and largest number of looks of the speckle that is added; the logarithm is drawn evenly.
        probability: that the SAR images of a record get speckle.

    Raises:
        ConfigError: looks or probability out of range.
    """

    looks: tuple[float, float] = (4.0, 16.0)
    probability: float = 0.5

    def __post_init__(self) -> None:
        self._range = np.log(checked_range("RandomSpeckle: looks", self.looks, least=LOOKS[0], most=LOOKS[1]))
        check_probability("RandomSpeckle", self.probability)

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record, its images to be changed or as they were."""
        is_drawn, looks, seed = rng.random() < self.probability, float(np.exp(rng.uniform(*self._range))), draw_seed(rng)
        return with_change(record, record, change=AddSpeckle(seed, looks)) if is_drawn and record.images else record
