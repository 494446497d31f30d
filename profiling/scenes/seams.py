"""How much of a map is owed to where its windows lie."""

import numpy as np

from eocore.scenes.decisions import NODATA
from eocore.scenes.windows import Tiling


def differing(first: np.ndarray, second: np.ndarray) -> float:
    """Fraction of the pixels that have data in two maps of one place whose class differs.

    Args:
        first, second: (H, W) class numbers.
    """
    there = (first != NODATA) & (second != NODATA)
    return float((first[there] != second[there]).mean())


def seam_ratio(values: np.ndarray, tiling: Tiling) -> float:
    """Mean step of values across the lines where windows end, by the mean step everywhere: 1 = windows do not show.

    Args:
        values: (H, W) a layer of a map.
        tiling: of the map.
    """
    lines = [(_lines(tiling, axis), np.abs(np.diff(values, axis=axis))) for axis in (0, 1)]
    at_lines = np.concatenate([np.take(steps, found, axis=axis).ravel() for axis, (found, steps) in enumerate(lines)])
    everywhere = np.concatenate([steps.ravel() for _, steps in lines])
    return float(np.nanmean(at_lines) / np.nanmean(everywhere))


def _lines(tiling: Tiling, axis: int) -> list[int]:
    """Pixels behind which a window begins or ends, but for the borders of the scene."""
    side, length = tiling.window_side, (tiling.height, tiling.width)[axis]
    starts = {window[axis] for window in tiling.windows()}
    return sorted({line - 1 for start in starts for line in (start, start + side) if 0 < line < length})
