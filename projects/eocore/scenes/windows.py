"""How a scene of any size is cut into overlapping windows, and how much each pixel of a window counts."""

from dataclasses import dataclass

import numpy as np

from eocore.data.records import Window
from eocore.errors import ConfigError

NEIGHBOURHOOD = 8
"""Windows come in squares of so many by so many, so that those that are done together, and written into one file, lie side by side."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Square windows that cover a scene, spread evenly between its borders.

    Attributes:
        height, width: of the scene [px].
        side: of a window [px]; a scene that is smaller has windows as large as its short side.
        overlap: pixels that neighbours share at least [px].

    Raises:
        ConfigError: the side is below 1, or neighbours would share more than half of it.
    """

    height: int
    width: int
    side: int
    overlap: int

    def __post_init__(self) -> None:
        if self.side < 1 or not 0 <= self.overlap <= self.side // 2:
            raise ConfigError(
                f"windows of {self.side} px that overlap by {self.overlap} px: expected a side of at least 1 px and an overlap between 0 "
                f"and half the side ({max(self.side, 0) // 2} px); beyond that every pixel is computed more than four times. Choose others."
            )

    @property
    def window_side(self) -> int:
        """Of the windows that there are [px]."""
        return min(self.side, self.height, self.width)

    @property
    def shared(self) -> int:
        """The overlap of the windows that there are [px]."""
        return min(self.overlap, self.window_side // 2)

    def windows(self) -> list[Window]:
        """All windows, one neighbourhood after the other."""
        tops, lefts = self._starts(self.height), self._starts(self.width)
        ordered = sorted(
            (row // NEIGHBOURHOOD, column // NEIGHBOURHOOD, row, column) for row in range(len(tops)) for column in range(len(lefts))
        )
        side = self.window_side
        return [(tops[row], lefts[column], side, side) for _, _, row, column in ordered]

    def weights(self) -> np.ndarray:
        """(S, S) float32 weights of a window's pixels: 1 in the middle, falling evenly to nearly 0 over the overlap, never 0, so that the
        middle of one window takes over from another without a step."""
        side, shared = self.window_side, self.shared
        if not shared:
            return np.ones((side, side), np.float32)
        position = np.arange(side, dtype=np.float32) + np.float32(0.5)
        ramp = np.minimum(np.float32(1), np.minimum(position, side - position) / np.float32(shared))
        weights: np.ndarray = ramp[:, None] * ramp
        return weights

    def _starts(self, length: int) -> list[int]:
        side, room = self.window_side, length - self.window_side
        steps = -(-room // (side - self.shared))
        return [round(index * room / steps) for index in range(steps + 1)] if steps else [0]


def blocks(height: int, width: int, *, side: int) -> list[Window]:
    """Squares side by side that cover a scene, row by row; the last are smaller.

    Args:
        height, width: of the scene [px].
        side: of a block [px].
    """
    return [
        (top, left, min(side, height - top), min(side, width - left)) for top in range(0, height, side) for left in range(0, width, side)
    ]


def overlap_of(first: Window, second: Window) -> Window | None:
    """What two windows share, None where that is nothing."""
    top, left = max(first[0], second[0]), max(first[1], second[1])
    bottom, right = min(first[0] + first[2], second[0] + second[2]), min(first[1] + first[3], second[1] + second[3])
    return (top, left, bottom - top, right - left) if bottom > top and right > left else None


def within(part: Window, whole: Window) -> tuple[slice, slice]:
    """The rows and columns of `part` in an array that holds `whole`."""
    top, left = part[0] - whole[0], part[1] - whole[1]
    return slice(top, top + part[2]), slice(left, left + part[3])
