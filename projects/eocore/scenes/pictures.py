"""Colours of classes, and a small picture of a map."""

import colorsys
import math
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling

from eocore.evaluate.reporting.plots import Colour, encode_png
from eocore.scenes.decisions import NODATA, NONE_OF_THEM

FIRST_COLOURS: tuple[Colour, ...] = (
    *((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167)),
    *((86, 180, 233), (213, 94, 0), (240, 228, 66)),
)
"""Told apart by colour-blind readers, too. Source: Okabe and Ito 2008, Color Universal Design."""
NONE_COLOUR: Colour = (225, 225, 225)
NODATA_COLOUR: Colour = (255, 255, 255)
LONGEST = 1024
"""Side of the picture [px]."""
GOLDEN = (5**0.5 - 1) / 2
"""Fraction of the circle of hues between further colours: any number of them stay apart."""


def class_colour(number: int) -> Colour:
    """Of a class number of a map."""
    if number == NODATA:
        return NODATA_COLOUR
    if number == NONE_OF_THEM:
        return NONE_COLOUR
    if number <= len(FIRST_COLOURS):
        return FIRST_COLOURS[number - 1]
    red, green, blue = colorsys.hsv_to_rgb(math.modf(number * GOLDEN)[0], 0.65, 0.85)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_map(classes: Path) -> bytes:
    """A PNG of a class map, its overviews enlarged or reduced to `LONGEST`."""
    with rasterio.open(classes) as source:
        scale = max(math.ceil(max(source.shape) / LONGEST), 1)
        size = (math.ceil(source.height / scale), math.ceil(source.width / scale))
        numbers = source.read(1, out_shape=size, resampling=Resampling.nearest)
    table = np.array([class_colour(number) for number in range(NODATA + 1)], np.uint8)
    return encode_png(table[numbers], max_side=LONGEST)
