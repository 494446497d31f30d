"""Scores of overlapping windows -> scores of the scene, a block at a time, so that no scene is too large."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from eocore.data.records import Window
from eocore.scenes.windows import Tiling, blocks, overlap_of, within

BLOCK = 1024
"""Side of the blocks that are blended and written at a time [px]."""
ReadScores = Callable[[int], np.ndarray | None]
"""Index of a window -> (C, S, S) scores, NaN where the scene has no data; None for a window without any."""


def blended_blocks(tiling: Tiling, read: ReadScores, *, num_layers: int, side: int = BLOCK) -> Iterator[tuple[Window, np.ndarray]]:
    """(block, (C, h, w) float32 scores) of the whole scene, row by row; NaN where no window has scores.

    A pixel is the mean of all windows that see it, by their weights (`Tiling.weights`), summed in the order of the windows: whatever the
    order in which they were computed, the sums are the same to the bit.

    Args:
        tiling: of the scene.
        read: the scores of a window.
        num_layers: C.
        side: of a block [px].
    """
    windows, weights = tiling.windows(), tiling.weights()
    corners = np.array(windows)[:, :2]
    for block in blocks(tiling.height, tiling.width, side=side):
        reach = np.array(block[:2]) - tiling.window_side, np.array(block[:2]) + block[2:]
        near = np.flatnonzero(((corners > reach[0]) & (corners < reach[1])).all(axis=1))
        yield block, _blend(block, {int(index): windows[index] for index in near}, weights=weights, read=read, num_layers=num_layers)


def _blend(block: Window, windows: Mapping[int, Window], *, weights: np.ndarray, read: ReadScores, num_layers: int) -> np.ndarray:
    sums = np.zeros((num_layers, *block[2:]), np.float32)
    total = np.zeros(block[2:], np.float32)
    for index, window in windows.items():
        shared = overlap_of(block, window)
        scores = read(index) if shared else None
        if shared is None or scores is None:
            continue
        target, source = within(shared, block), within(shared, window)
        part = scores[:, *source].astype(np.float32)
        seen = np.isfinite(part).all(axis=0)
        weight = np.where(seen, weights[source], np.float32(0))
        sums[:, *target] += np.where(seen, part, np.float32(0)) * weight
        total[target] += weight
    with np.errstate(invalid="ignore"):
        blended: np.ndarray = sums / total
    return blended
