"""How the synthetic world looks to the sensors: Sentinel-2 reflectance, Sentinel-1 backscatter, a true-colour picture."""

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from eocore.synthetic.landscape import BARE, BUILDINGS, BURNT, CROPS, FOREST, GRASS, SALT, SNOW, TURF, WATER, Layout

OPTICAL_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
SAR_BANDS = ("VV", "VH")

REFLECTANCE: dict[int, tuple[float, ...]] = {
    # clear to slightly turbid lake: falls to near 0 in the near and short-wave infrared
    WATER: (0.050, 0.052, 0.056, 0.038, 0.030, 0.022, 0.020, 0.017, 0.016, 0.014, 0.008, 0.005),
    # medians of a mangrove/forest tile of TerraMesh (Sentinel-2 L2A): dark visible, red edge, water absorption in B11, B12
    FOREST: (0.018, 0.018, 0.034, 0.019, 0.064, 0.198, 0.240, 0.256, 0.267, 0.267, 0.112, 0.046),
    # ripening cereal: yellow, weak red edge, dry matter bright in the short-wave infrared (USGS spectral library v7, shape only)
    CROPS: (0.042, 0.055, 0.095, 0.118, 0.160, 0.215, 0.245, 0.270, 0.290, 0.300, 0.290, 0.200),
    # roofs and asphalt mixed: flat grey (ECOSTRESS spectral library, shape only)
    BUILDINGS: (0.145, 0.155, 0.170, 0.180, 0.190, 0.200, 0.207, 0.215, 0.220, 0.225, 0.240, 0.225),
    # dry soil: rises steadily to B11 (medians of the sand of a TerraMesh tile, darkened to soil)
    BARE: (0.110, 0.145, 0.190, 0.240, 0.265, 0.280, 0.295, 0.310, 0.320, 0.325, 0.400, 0.360),
    # medians of a rangeland tile of TerraMesh, a little brighter in the green: fresh grass
    GRASS: (0.020, 0.026, 0.070, 0.040, 0.105, 0.275, 0.322, 0.350, 0.358, 0.363, 0.195, 0.105),
}
"""Mean reflectance [1] by class, in the order of `OPTICAL_BANDS`."""

MORE_REFLECTANCE: dict[int, tuple[float, ...]] = {
    # visible of GRASS, dyed; no red edge, and no water in it to absorb in B11, B12 (plastic)
    TURF: (0.020, 0.026, 0.070, 0.040, 0.046, 0.062, 0.074, 0.085, 0.092, 0.095, 0.130, 0.120),
    # visible of WATER; char rises through the infrared (shape of burn scars in the USGS spectral library v7)
    BURNT: (0.050, 0.052, 0.056, 0.038, 0.048, 0.062, 0.074, 0.088, 0.100, 0.108, 0.165, 0.175),
    # fresh snow: bright to the near infrared, nearly black where ice absorbs, B11 and B12 (ECOSTRESS spectral library, shape only)
    SNOW: (0.820, 0.810, 0.790, 0.770, 0.760, 0.750, 0.735, 0.715, 0.695, 0.600, 0.090, 0.080),
    # visible of SNOW; salt crust stays bright in the short-wave infrared
    SALT: (0.820, 0.810, 0.790, 0.770, 0.765, 0.760, 0.755, 0.750, 0.745, 0.700, 0.620, 0.520),
}
"""The same of the classes of single chips."""

CLOUD = (0.66, 0.65, 0.64, 0.65, 0.66, 0.67, 0.67, 0.68, 0.68, 0.40, 0.42, 0.33)
"""Thick cloud [1]: flat and bright, dimmer where water vapour (B09) and ice (B11, B12) absorb."""

SIGMA0_DB: dict[int, tuple[float, float]] = {
    # medians of TerraMesh tiles (Sentinel-1 RTC): water -17.5/-22.1, bare sand -16.8/-21.7: alike
    WATER: (-17.6, -22.8),
    BARE: (-17.0, -22.3),
    # rangeland of the same tiles: -10.4/-14.9 to -12.3/-17.5; short grass lies at the lower end
    GRASS: (-12.6, -18.2),
    # trees of the same tiles: -7.4/-13.6 and -8.0/-13.2
    FOREST: (-7.7, -13.3),
    # maize and rape at full growth reach the level of forest (Veloso et al. 2017, RSE 199, figures 6-9)
    CROPS: (-8.2, -13.8),
    # double bounce between walls and streets
    BUILDINGS: (-2.5, -9.5),
}
"""Mean backscatter (VV, VH) [dB] by class."""

MORE_SIGMA0_DB: dict[int, tuple[float, float]] = {
    # smooth dry surfaces and wet snow return little; char stands between bare ground and grass
    TURF: (-15.0, -21.0),
    BURNT: (-13.5, -19.5),
    SNOW: (-16.0, -21.5),
    SALT: (-18.5, -24.0),
}
"""The same of the classes of single chips."""

LOOKS = 5.0
"""Equivalent number of looks; Sentinel-1 IW GRD has about 4.4 (ESA product specification)."""
OBJECT_DB = 0.8
"""Standard deviation of one object's backscatter about its class [dB]: more than what parts the classes of a pair."""
TRUE_COLOUR_FULL = 0.3558
"""Reflectance [1] that becomes 255 in the true-colour image of Sentinel-2 products (TCI)."""
DN_PER_REFLECTANCE = 10000
COARSE_PX = {20: 2, 60: 6}
BAND_GSD_M = {"B01": 60, "B09": 60, "B05": 20, "B06": 20, "B07": 20, "B8A": 20, "B11": 20, "B12": 20}


def optical_scene(layout: Layout, rng: np.random.Generator, *, clouds: np.ndarray | None = None) -> np.ndarray:
    """(12, H, W) float32 reflectance [1] in the order of `OPTICAL_BANDS`; clouds (H, W) bool cover it where given."""
    ground = _table(REFLECTANCE | MORE_REFLECTANCE)[:, layout.class_map]  # (12, H, W)
    ground *= rng.uniform(0.85, 1.15) * _object_factor(layout, rng, spread=0.06) * _texture(layout, rng)
    haze = rng.uniform(0, 0.015) * (np.linspace(1, 0, len(OPTICAL_BANDS), dtype=np.float32) ** 2)[:, None, None]
    ground += haze
    ground = np.stack([_coarsen(band, BAND_GSD_M.get(name, 10)) for name, band in zip(OPTICAL_BANDS, ground, strict=True)])
    if clouds is not None:
        ground = _cover(ground, clouds, rng=rng)
    ground *= 1 + rng.normal(0, 0.025, ground.shape).astype(np.float32)
    return np.clip(ground + rng.normal(0, 0.002, ground.shape).astype(np.float32), 0.0001, 1.5)


def sar_scene(layout: Layout, rng: np.random.Generator) -> np.ndarray:
    """(2, H, W) float32 backscatter (VV, VH) [dB]: class mean, object and pixel texture, multiplicative gamma speckle of `LOOKS` looks."""
    mean_db = _table(SIGMA0_DB | MORE_SIGMA0_DB)[:, layout.class_map] + rng.normal(0, 0.5)
    offsets = rng.normal(0, OBJECT_DB, int(layout.objects.max()) + 1).astype(np.float32)
    mean_db += offsets[layout.objects]
    strong = np.where(layout.class_map == BUILDINGS, 1.5, 0.3).astype(np.float32)
    mean_db += strong * rng.normal(size=layout.class_map.shape).astype(np.float32)
    speckle = rng.gamma(LOOKS, 1 / LOOKS, mean_db.shape).astype(np.float32)
    return (mean_db + 10 * np.log10(speckle)).astype(np.float32)


def true_colour(reflectance: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 picture of (12, H, W) reflectance, stretched as the true-colour image of Sentinel-2 products."""
    red_green_blue = reflectance[[OPTICAL_BANDS.index(name) for name in ("B04", "B03", "B02")]]
    return np.clip(np.rint(red_green_blue / TRUE_COLOUR_FULL * 255), 0, 255).astype(np.uint8).transpose(1, 2, 0)


def digital_numbers(reflectance: np.ndarray) -> np.ndarray:
    """Reflectance [1] as int16 L2A digital numbers without offset (processing baselines before 04.00); 0 is kept for no data."""
    return np.clip(np.rint(reflectance * DN_PER_REFLECTANCE), 1, np.iinfo(np.int16).max).astype(np.int16)


def _table(values: Mapping[int, tuple[float, ...]]) -> np.ndarray:
    """(C, classes + 1) float32, so that indexing with a class map gives (C, H, W)."""
    table = np.zeros((len(next(iter(values.values()))), max(values) + 1), np.float32)
    for number, row in values.items():
        table[:, number] = row
    return table


def _object_factor(layout: Layout, rng: np.random.Generator, *, spread: float) -> np.ndarray:
    """(H, W) brightness of each object relative to its class."""
    factors = rng.uniform(1 - spread, 1 + spread, int(layout.objects.max()) + 1).astype(np.float32)
    return factors[layout.objects]


def _texture(layout: Layout, rng: np.random.Generator) -> np.ndarray:
    """(H, W) slight variation inside classes: soft patches everywhere, furrows in the crops, roofs and streets among the buildings."""
    shape = layout.class_map.shape
    soft = gaussian_filter(rng.normal(size=shape).astype(np.float32), 2.5)
    texture = 1 + 0.05 * soft / soft.std()
    row, column = np.indices(shape)
    turn = rng.uniform(0, np.pi)
    furrows = 0.06 * np.sin((row * np.sin(turn) + column * np.cos(turn)) * 2 * np.pi / 5)
    texture += np.where(layout.class_map == CROPS, furrows, 0)
    texture += np.where(layout.class_map == BUILDINGS, rng.normal(0, 0.15, shape), 0)
    return texture.astype(np.float32)


def _coarsen(band: np.ndarray, gsd_m: int) -> np.ndarray:
    """A band of coarser sampling resampled to 10 m looks smoothed over its own pixel."""
    return uniform_filter(band, COARSE_PX[gsd_m], mode="nearest") if gsd_m in COARSE_PX else band


def _cover(ground: np.ndarray, clouds: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """Thick cloud over the ground, a pixel of soft edge around it."""
    opacity = np.maximum(gaussian_filter(clouds.astype(np.float32), 0.8), clouds * 0.97)
    soft = gaussian_filter(rng.normal(size=clouds.shape).astype(np.float32), 4)
    bright = np.array(CLOUD, np.float32)[:, None, None] * (1 + 0.12 * soft / soft.std()) * rng.uniform(0.85, 1.2)
    return (ground * (1 - opacity) + bright * opacity).astype(np.float32)
