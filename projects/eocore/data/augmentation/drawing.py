"""What augmenting transforms share: probabilities, ranges, and the random numbers of a change."""

import zlib
from collections.abc import Sequence

import numpy as np

from eocore.errors import ConfigError
from eocore.sensors.scene import Scene

SEEDS = 2**32


def check_probability(owner: str, value: float, *, name: str = "probability") -> None:
    """Raise ConfigError unless `value` lies between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"{owner}: {name} must be a number from 0 to 1, found {value!r}.")


def checked_range(name: str, given: Sequence[float], *, least: float, most: float) -> tuple[float, float]:
    """(low, high) of a range.

    Args:
        name: of the option, for messages.
        given: both ends.
        least, most: that it must stay between.

    Raises:
        ConfigError: not two numbers in order, or beyond the limits.
    """
    ends = list(given)
    numbers = [end for end in ends if isinstance(end, int | float) and not isinstance(end, bool)]
    if len(ends) != 2 or len(numbers) != 2 or not least <= numbers[0] <= numbers[1] <= most:
        raise ConfigError(f"{name} must be two numbers, the lower first, from {least:g} to {most:g}; found {given!r}.")
    return float(numbers[0]), float(numbers[1])


def draw_seed(rng: np.random.Generator) -> int:
    """The seed of a change."""
    return int(rng.integers(SEEDS))


def scene_stream(seed: int, scene: Scene) -> np.random.Generator:
    """The random numbers of a change for one image of a record, the same on each reading; images of other roles and times have others."""
    return np.random.default_rng((seed, zlib.crc32(f"{scene.role} {scene.time}".encode())))
