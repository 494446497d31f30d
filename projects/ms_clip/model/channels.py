"""The channels of the released models: which bands, in which order, and their statistics."""

from typing import Any

SENTINEL2_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
SENTINEL2_MEAN_DN = (925.161, 1183.128, 1338.041, 1667.254, 2233.633, 2460.96, 2555.569, 2619.542, 2406.497, 1841.645)
SENTINEL2_STD_DN = (1205.586, 1223.713, 1399.638, 1403.298, 1378.513, 1434.924, 1491.141, 1454.089, 1473.248, 1365.08)
"""Bands of the released model, and statistics of SSL4EO-S12 v1.1 in digital numbers of reflectance / 10000, without the offset of 1000 that
newer products carry. Source: IBM/MS-CLIP at 9dbeb33."""

COASTAL_DN, VAPOUR_DN = (794.311, 1164.883), (2703.298, 1660.395)
"""Mean and deviation of B01 and B09, of its 12-band variant. Source: as above."""
QUANTIFICATION = 10_000
"""Digital number of reflectance 1. Source: ESA Sentinel-2 Products Specification Document, QUANTIFICATION_VALUE."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Of red, green and blue on a 0..1 scale. Source: Radford et al. 2021, openai/CLIP."""

SENTINEL1_MEAN_DB, SENTINEL1_STD_DB = (-12.577, -20.265), (5.179, 5.872)
"""Of VV and VH. Source: SSL4EO-S12 v1.1, statistics of the shard release."""

MULTISPECTRAL, SAR, RGB = "multispectral", "sar", "rgb"
DISPLAY_CHANNELS = ("rgb:red|multispectral:B04", "rgb:green|multispectral:B03", "rgb:blue|multispectral:B02")
"""Of a model of pictures: the picture's own, or the bands that show natural colours."""

COLOUR_BANDS = {"red": ("red", "B04", "B4"), "green": ("green", "B03", "B3"), "blue": ("blue", "B02", "B2")}
"""Colour -> names of the bands that see it: of pictures, Sentinel-2 and Landsat 8 and 9. Source: ESA Sentinel-2 MSI User Guide; USGS
Landsat 8 Data Users Handbook (LSDS-1574)."""


def _sentinel2(bands: tuple[str, ...], mean: tuple[float, ...], *, std: tuple[float, ...]) -> dict[str, Any]:
    return {
        "channels": tuple(f"{MULTISPECTRAL}:{band}" for band in bands),
        "mean": tuple(value / QUANTIFICATION for value in mean),
        "std": tuple(value / QUANTIFICATION for value in std),
    }


PRESETS: dict[int, dict[str, Any]] = {
    3: {"channels": DISPLAY_CHANNELS, "mean": CLIP_MEAN, "std": CLIP_STD, "unit": "display"},
    10: _sentinel2(SENTINEL2_BANDS, SENTINEL2_MEAN_DN, std=SENTINEL2_STD_DN),
    12: _sentinel2(
        ("B01", *SENTINEL2_BANDS[:8], "B09", *SENTINEL2_BANDS[8:]),
        (COASTAL_DN[0], *SENTINEL2_MEAN_DN[:8], VAPOUR_DN[0], *SENTINEL2_MEAN_DN[8:]),
        std=(COASTAL_DN[1], *SENTINEL2_STD_DN[:8], VAPOUR_DN[1], *SENTINEL2_STD_DN[8:]),
    ),
}
"""Number of channels of a released patch embedding -> fields of `ProcessorOptions`."""
