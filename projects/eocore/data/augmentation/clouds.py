"""Clouds with their shadows over optical images; SAR sees through them."""

import re
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from eocore.data.augmentation.drawing import check_probability, checked_range, draw_seed
from eocore.data.augmentation.record_words import said
from eocore.data.augmentation.resampling import DISPLAY_UNIT
from eocore.data.changes import kept_as_is, with_change
from eocore.data.io.readers import SceneHeader
from eocore.data.records import Record
from eocore.errors import BandError
from eocore.registry import TRANSFORMS
from eocore.sensors.bands import get_sensor
from eocore.sensors.scene import Scene

FIELD = 128
"""Side of the grid that clouds are drawn on; images of a record, whatever their pixels, show the same clouds."""
SPREADS = (FIELD / 9, FIELD / 30)
SMALL_SHARE = 0.4
SOFT_EDGE = FIELD / 64
SPECTRUM = ((900.0, 0.65), (1000.0, 0.40), (1300.0, 0.55), (1450.0, 0.15), (1800.0, 0.42), (2500.0, 0.33))
"""Up to this wavelength [nm], reflectance of thick cloud [1]: flat where droplets do not absorb; lower where water vapour (940 and 1375 nm)
or water and ice (1.6 and 2.2 um) do. On the absorption by droplets: Nakajima and King (1990), J. Atmos. Sci. 47(15)."""
PICTURE_CLOUD = 235.0
"""Digital number of cloud in a picture made for display."""
SHADE_BLUE_NM, SHADE_RED_NM = 450.0, 860.0
SKYLIGHT = (0.55, 0.25)
"""Fraction of the light [1] that reaches a shadow at these wavelengths: skylight, which Rayleigh scattering makes blue."""
RADAR_ROLE = "sar"
_SAID = re.compile(r"\b(?:clouds?|cloudy|cloudless|overcast|haz[ey]|fog(?:gy)?|shadows?|weather|clear sky)\b", re.IGNORECASE)


@dataclass(frozen=True)
class CoverWithClouds:
    """Clouds and shadows, a function of the position in the image.

    Attributes:
        seed: of the clouds' shapes.
        cover: fraction of the image under them [1].
        shift: (down, right) from a cloud to its shadow [image sides].
        strength: of the shadow: 1 = skylight alone.
    """

    seed: int
    cover: float
    shift: tuple[float, float]
    strength: float

    def header(self, header: SceneHeader) -> SceneHeader:
        """See `SceneChange`."""
        return header

    def scene(self, scene: Scene) -> Scene:
        """See `SceneChange`; SAR, thermal and grey images stay as they are."""
        if not is_optical(scene):
            return scene
        cloud, shadow = self.opacities(scene.size)
        bright, light = _band_values(scene)
        shaded = scene.pixels * (1 - shadow * self.strength * (1 - light[:, None, None]))
        covered = shaded * (1 - cloud) + bright[:, None, None] * cloud
        if scene.unit == DISPLAY_UNIT:
            covered = np.clip(np.rint(covered), 0, 255)
        return replace(scene, pixels=covered.astype(np.float32))

    def opacities(self, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """(H, W) float32 of cloud and of shadow on the ground, each 0 to 1."""
        rng = np.random.default_rng(self.seed)
        margin = FIELD // 2
        side = FIELD + 2 * margin
        large, small = (_unit(gaussian_filter(rng.normal(size=(side, side)), spread)) for spread in SPREADS)
        height = large + SMALL_SHARE * small
        inside = slice(margin, margin + FIELD)
        covered = (height > np.quantile(height[inside, inside], 1 - self.cover)).astype(np.float32)
        soft = np.maximum(gaussian_filter(covered, SOFT_EDGE), covered * np.float32(0.9))
        down, right = (round(part * FIELD) for part in self.shift)
        shadow = np.roll(soft, (down, right), axis=(0, 1))
        return _at_size(soft[inside, inside], size), _at_size(shadow[inside, inside], size)


def is_optical(scene: Scene) -> bool:
    """Whether a scene shows reflected sunlight: reflectances, or a colour picture that is not the radar's."""
    if scene.unit == DISPLAY_UNIT:
        return scene.role != RADAR_ROLE and scene.pixels.shape[0] >= 3
    return scene.unit == "reflectance"


def _band_values(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """(C,) what each band shows of a cloud, and the fraction of the light that it gets in a shadow."""
    wavelengths = np.array([_wavelength_nm(scene, band) for band in scene.bands])
    light = np.interp(wavelengths, (SHADE_BLUE_NM, SHADE_RED_NM), SKYLIGHT)
    if scene.unit == DISPLAY_UNIT:
        return np.full(len(wavelengths), PICTURE_CLOUD), light
    bright = [next((value for limit, value in SPECTRUM if wavelength <= limit), SPECTRUM[-1][1]) for wavelength in wavelengths]
    return np.array(bright), light


def _wavelength_nm(scene: Scene, band: str) -> float:
    """The centre wavelength; that of green where it is not known."""
    try:
        found = get_sensor(scene.sensor).band(band).centre_nm
    except BandError:
        found = float("nan")
    return found if np.isfinite(found) else 550.0


def _unit(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def _at_size(field: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    picture = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
    return np.clip(np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)), 0, 1)


@TRANSFORMS.register_module()
@dataclass(kw_only=True, eq=False)
class RandomClouds:
    """Covers part of the optical images of a record with clouds and their shadows; SAR and thermal images stay as they are.

    Clouds lie at the same location in all optical images of one record. A record whose words speak of clouds, shadows or weather stays as
    it is, and is counted.

    Args:
        cover: smallest and largest fraction of the image under clouds [1].
        shift: smallest and largest distance between a cloud and its shadow [image sides]; its direction is drawn.
        shadow: smallest and largest strength of a shadow [1]; at 1 it gets skylight alone.
        needs_radar: cover only records that have a SAR image too, so that what clouds hide can still be told.
        probability: that a record gets clouds.

    Raises:
        ConfigError: a range or probability out of range.
    """

    cover: tuple[float, float] = (0.1, 0.4)
    shift: tuple[float, float] = (0.05, 0.2)
    shadow: tuple[float, float] = (0.5, 1.0)
    needs_radar: bool = False
    probability: float = 0.3

    def __post_init__(self) -> None:
        self._cover = checked_range("RandomClouds: cover", self.cover, least=0.0, most=1.0)
        self._shift = checked_range("RandomClouds: shift", self.shift, least=0.0, most=0.45)
        self._shadow = checked_range("RandomClouds: shadow", self.shadow, least=0.0, most=1.0)
        check_probability("RandomClouds", self.probability)

    def __call__(self, record: Record, rng: np.random.Generator) -> Record:
        """The record, its images to be covered or as they were."""
        is_drawn, seed, angle = rng.random() < self.probability, draw_seed(rng), rng.uniform(0, 2 * np.pi)
        cover, far, strength = (float(rng.uniform(*ends)) for ends in (self._cover, self._shift, self._shadow))
        if not is_drawn or not record.images or (self.needs_radar and RADAR_ROLE not in record.roles):
            return record
        reason = self.unsafe_words(record)
        shift = (far * float(np.sin(angle)), far * float(np.cos(angle)))
        return kept_as_is(record, reason) if reason else with_change(record, record, change=CoverWithClouds(seed, cover, shift, strength))

    def unsafe_words(self, record: Record) -> str:
        """Why the record stays as it is; "" where it does not."""
        found = next((match for text in said(record) if (match := _SAID.search(text))), None)
        return f"RandomClouds: '{found[0]}' speaks of the weather" if found else ""
