"""Which pictures a person can choose of a scene: band composites, indices and single bands, as far as its sensor has them."""

from dataclasses import dataclass

import numpy as np

from eocore.errors import ConfigError
from eocore.portable.band_rendering import DISPLAY_UNIT, RATIO, SceneLike, layer_values
from eocore.sensors.bands import get_sensor
from eocore.text import did_you_mean

COLOUR_COMPOSITES = (
    ("true_colour", "True colour", ("red", "green", "blue")),
    ("false_colour", "False colour (near infrared)", ("nir", "red", "green")),
    ("swir", "Short-wave infrared", ("swir22", "nir", "red")),
    ("agriculture", "Agriculture", ("swir16", "nir", "blue")),
)
"""Name, title, and the colours shown as red, green and blue. Source: Sentinel Hub's and USGS's lists of common band combinations."""
INDICES = (
    ("ndvi", "NDVI (vegetation)", ("nir", "red")),
    ("ndwi", "NDWI (water)", ("green", "nir")),
    ("nbr", "NBR (burnt ground)", ("nir", "swir22")),
)
"""Name, title, and (a, b) of (a - b) / (a + b). Sources: Tucker 1979; McFeeters 1996; Key and Benson 2006."""
INDEX_COLOURS = {
    "ndvi": ((-0.2, (94, 79, 162)), (0.0, (224, 216, 196)), (0.2, (238, 221, 130)), (0.5, (120, 184, 84)), (0.9, (0, 68, 27))),
    "ndwi": ((-0.8, (84, 48, 5)), (-0.3, (191, 150, 90)), (0.0, (245, 245, 245)), (0.3, (90, 160, 210)), (0.8, (3, 40, 110))),
    "nbr": ((-0.5, (110, 20, 20)), (-0.1, (214, 96, 60)), (0.1, (250, 232, 180)), (0.4, (120, 184, 100)), (0.9, (0, 80, 40))),
}
"""Index -> (value, colour) of the ramp that it is drawn in, which does not depend on the picture, so that two dates compare."""
SAR_COMPOSITES = (
    ("vv_vh", "VV, VH and their ratio", ("VV", "VH", f"{RATIO}VV/VH")),
    ("hh_hv", "HH, HV and their ratio", ("HH", "HV", f"{RATIO}HH/HV")),
)
BAND = "band:"
SHOWN_AS_IS = "as_is"


@dataclass(frozen=True)
class Composite:
    """One choice of the menu.

    Attributes:
        name: in addresses, such as "true_colour" or "band:B04".
        title: in the menu.
        entries: a layer each: a band, or `ratio:A/B`. Three are red, green and blue; one is grey; of an index, the two bands.
        index: of INDEX_COLOURS, "" for none.
    """

    name: str
    title: str
    entries: tuple[str, ...]
    index: str = ""

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands to read, each once."""
        named = [band for entry in self.entries for band in entry.removeprefix(RATIO).split("/")]
        return tuple(dict.fromkeys(named))


def composites(sensor: str, bands: tuple[str, ...]) -> list[Composite]:
    """What can be shown of a scene, the best first.

    Args:
        sensor: name in the sensor registry.
        bands: that the scene has.
    """
    if get_sensor(sensor).unit == DISPLAY_UNIT:
        whole = [Composite(SHOWN_AS_IS, "As it is", bands[:3] if len(bands) >= 3 else bands[:1])]
        return whole + (_single_bands(bands) if len(bands) > 1 else [])
    found = [
        Composite(name, title, picked) for name, title, wanted in COLOUR_COMPOSITES if (picked := _picked(sensor, bands, colours=wanted))
    ]
    found += [Composite(name, title, picked, name) for name, title, wanted in INDICES if (picked := _picked(sensor, bands, colours=wanted))]
    found += [
        Composite(name, title, wanted) for name, title, wanted in SAR_COMPOSITES if set(Composite(name, title, wanted).bands) <= set(bands)
    ]
    return found + _single_bands(bands)


def find_composite(name: str, *, sensor: str, bands: tuple[str, ...]) -> Composite:
    """The composite of that name.

    Raises:
        ConfigError: the scene has none of that name.
    """
    known = {composite.name: composite for composite in composites(sensor, bands)}
    if name not in known:
        raise ConfigError(f"no composite '{name[:40]}' of this image.{did_you_mean(name, known)} There are {', '.join(known)}.")
    return known[name]


def draw_index(scene: SceneLike, composite: Composite) -> np.ndarray:
    """(3, H, W) uint8: a normalised difference in the colours of its ramp; black where a band has no data.

    Args:
        scene: with the composite's two bands.
        composite: an index.
    """
    first, second = (layer_values(entry, scene) for entry in composite.entries)
    total = first + second
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(total != 0, (first - second) / total, np.nan)
    ramp = INDEX_COLOURS[composite.index]
    levels = [value for value, _ in ramp]
    known = np.nan_to_num(values, nan=levels[0])
    drawn = np.stack([np.interp(known, levels, [colour[channel] for _, colour in ramp]) for channel in range(3)])
    return np.where(np.isfinite(values), np.rint(drawn), 0).astype(np.uint8)


def _picked(sensor: str, bands: tuple[str, ...], *, colours: tuple[str, ...]) -> tuple[str, ...]:
    """The bands of these colours, () where one of them is not there."""
    known = get_sensor(sensor)
    names = [known.canonical_name(colour) for colour in colours]
    found = tuple(name for name in names if name is not None and name in bands)
    return found if len(found) == len(colours) else ()


def _single_bands(bands: tuple[str, ...]) -> list[Composite]:
    return [Composite(f"{BAND}{band}", f"Band {band}", (band,)) for band in bands]
