"""Blended scores -> classes and probabilities of pixels."""

from dataclasses import dataclass

import numpy as np

from eocore.errors import ConfigError
from eocore.evaluate.protocols import PixelScale

NONE_OF_THEM, NODATA = 0, 255
"""Numbers of a class map beside those of the prompts, which begin at 1."""
MOST_PROMPTS = NODATA - 1
"""That a class map of bytes can tell apart."""


@dataclass(frozen=True)
class Decision:
    """How scores become classes.

    Attributes:
        scale: what the scores are: "logits" of each prompt by itself, or "relative", which only say which prompt fits better.
        threshold: of logits: probability from which on a pixel is of a prompt; of relative scores: from which score on, None = the best
            prompt, however low.

    Raises:
        ConfigError: a probability that is none.
    """

    scale: PixelScale
    threshold: float | None

    def __post_init__(self) -> None:
        if self.scale == "logits" and (self.threshold is None or not 0 < self.threshold < 1):
            raise ConfigError(
                f"the threshold is {self.threshold}; expected a probability between 0 and 1, as the model's scores are logits."
            )

    def values(self, scores: np.ndarray) -> np.ndarray:
        """(C, h, w) float32 of blended scores: probabilities of logits, else the scores; NaN where there is no data."""
        if self.scale != "logits":
            return scores
        probabilities: np.ndarray = np.float32(1) / (np.float32(1) + np.exp(-scores))
        return probabilities

    def classes(self, values: np.ndarray) -> np.ndarray:
        """(h, w) uint8: the number of the best prompt from 1 on, `NONE_OF_THEM` below the threshold, `NODATA` without data.

        Args:
            values: (C, h, w) from `values`; of equal prompts the first.
        """
        there = np.isfinite(values).all(axis=0)
        filled = np.where(there, values, np.float32(0))
        best = filled.argmax(axis=0)
        found = (best + 1).astype(np.uint8)
        if self.threshold is not None:
            found[np.take_along_axis(filled, best[None], axis=0)[0] < self.threshold] = NONE_OF_THEM
        found[~there] = NODATA
        return found
