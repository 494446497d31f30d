"""Statistics of the values of each band, added up image by image, and whether they can be what the sensor measures."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from eocore.sensors.scene import Scene

TYPICAL_MEANS = {"reflectance": (0.005, 0.8), "sigma0_db": (-32.0, 3.0), "kelvin": (220.0, 340.0), "uint8": (8.0, 247.0)}
"""Between which values the mean of a band over a whole dataset lies, by unit; wider than any landscape, so that what lies outside is
rather another unit or a scaling applied twice. Reflectance: from deep water in the infrared to fresh snow. Sigma nought of C-band SAR: from
calm water in cross polarisation (about -30 dB) to cities in co-polarisation (about 0 dB). Source: Ulaby and Dobson, Handbook of Radar
Scattering Statistics for Terrain (1989). Kelvin: the land surface between polar winter and desert noon. Display images: neither black nor
white as a whole."""
CROSS_POLARISED = {"VH": "VV", "HV": "HH"}
"""Cross-polarised band -> the co-polarised one, which is stronger over any natural landscape. Source: as above."""
FLAT = 1e-6
"""A standard deviation below this fraction of the typical range [1]: a band of one value."""
MAX_PIXELS = 65_536
"""Pixels of an image that are looked at, evenly spread: moments of millions of them tell no more."""


@dataclass(frozen=True)
class BandStatistics:
    """Moments of a band's values that are known.

    Attributes:
        unit: of the values.
        count: of values.
        total, squares: their sum, and that of their squares.
        lowest, highest: of all.
    """

    unit: str
    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    lowest: float = float("inf")
    highest: float = float("-inf")

    @property
    def mean(self) -> float:
        """NaN where no value is known."""
        return self.total / self.count if self.count else float("nan")

    @property
    def deviation(self) -> float:
        """Standard deviation; NaN where no value is known."""
        return float(np.sqrt(max(self.squares / self.count - self.mean**2, 0.0))) if self.count else float("nan")

    def __add__(self, other: "BandStatistics") -> "BandStatistics":
        """The statistics of the values of both."""
        return replace(
            self,
            count=self.count + other.count,
            total=self.total + other.total,
            squares=self.squares + other.squares,
            lowest=min(self.lowest, other.lowest),
            highest=max(self.highest, other.highest),
        )


def measure_bands(scene: Scene) -> dict[tuple[str, str], BandStatistics]:
    """(role, band) -> statistics of a scene's values; pixels without data do not count."""
    step = max(1, int(np.ceil(np.sqrt(scene.size[0] * scene.size[1] / MAX_PIXELS))))
    found = {}
    for band, layer in zip(scene.bands, scene.pixels[:, ::step, ::step], strict=True):
        known = layer[np.isfinite(layer)].astype(np.float64)
        moments = (known.size, float(known.sum()), float((known**2).sum()))
        ends = (float(known.min()), float(known.max())) if known.size else (float("inf"), float("-inf"))
        found[scene.role, band] = BandStatistics(scene.unit, *moments, *ends)
    return found


def describe_odd_bands(bands: Mapping[tuple[str, str], BandStatistics]) -> list[str]:
    """A warning for each band of a dataset whose values are far from what its unit can hold."""
    found = [warning for (role, band), statistics in bands.items() if (warning := _describe_odd(f"{role} {band}", statistics))]
    for (role, band), statistics in bands.items():
        other = bands.get((role, CROSS_POLARISED.get(band, "")))
        if other is None:
            continue
        means = f"{statistics.mean:.3g} dB) than {CROSS_POLARISED[band]} ({other.mean:.3g} dB"
        if statistics.unit == "sigma0_db" and statistics.mean > other.mean:
            found.append(
                f"{role} {band} is stronger on average ({means}), which no landscape is: the two are probably exchanged. Look at the "
                "order of the layers, and name them in `bands`."
            )
    return found


def _describe_odd(name: str, statistics: BandStatistics) -> str:
    """What is odd about a band; "" where nothing is."""
    if not statistics.count:
        return f"{name} has no known value in any image: the model would see nothing there. Look at nodata and at the files."
    low, high = TYPICAL_MEANS.get(statistics.unit, (-np.inf, np.inf))
    if not low <= statistics.mean <= high:
        return (
            f"{name} has a mean of {statistics.mean:.4g} ({statistics.unit}), far from its sensor's {low:g} to {high:g}: the numbers are "
            "probably in another unit, scaled twice, or mostly fill values. Look at the sensor of the image source, and at nodata."
        )
    if statistics.count > 1 and statistics.deviation <= FLAT * (high - low):
        return f"{name} is {statistics.mean:.4g} ({statistics.unit}) in every pixel of every image: nothing can be learned from it."
    return ""
