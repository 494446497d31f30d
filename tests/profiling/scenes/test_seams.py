"""What a map owes to its windows: a model that judges each window by another level passes only where windows are blended."""

import numpy as np
import pytest

from eocore.scenes.blending import blended_blocks
from eocore.scenes.decisions import NODATA
from eocore.scenes.windows import Tiling, within
from profiling.scenes.seams import differing, seam_ratio

SIDE, PERIOD, HIGH, SHIFT = 400, 97.3, 25.0, 1.0
"""Pixels of the scene; length and height of the waves of its logits; by how much windows are judged too high or too low."""
ROWS, COLUMNS = np.indices((SIDE, SIDE))
SCENE = (HIGH * (4 * np.abs((COLUMNS + 0.31 * ROWS) / PERIOD % 1 - 0.5) - 1)).astype(np.float32)


def mapped(overlap: int, *, moved: tuple[int, int] = (0, 0), shift: float = SHIFT, steep: float = 1.0) -> tuple[np.ndarray, Tiling]:
    """(H, W) logits of the scene from a corner on, whose windows are judged each by a level of its own."""
    scene = steep * SCENE[moved[0] :, moved[1] :]
    tiling = Tiling(height=scene.shape[0], width=scene.shape[1], side=64, overlap=overlap)
    windows, draw = tiling.windows(), np.random.default_rng(sum(moved))
    levels = draw.uniform(-shift, shift, len(windows))
    found = np.zeros_like(scene)
    for block, part in blended_blocks(
        tiling, lambda index: (scene[within(windows[index], (0, 0, *scene.shape))] + levels[index])[None], num_layers=1, side=128
    ):
        found[within(block, (0, 0, *scene.shape))] = part[0]
    return found, tiling


def classes(logits: np.ndarray) -> np.ndarray:
    return (logits > 0).astype(np.uint8)


@pytest.mark.parametrize("moved", [(23, 17), (5, 40)])
def test_shifted_tilings_agree_on_99_of_100_pixels_where_windows_are_blended_and_else_not(moved: tuple[int, int]) -> None:
    fractions = {}
    for overlap in (0, 32):
        whole, _ = mapped(overlap)
        part, _ = mapped(overlap, moved=moved)
        fractions[overlap] = differing(classes(whole)[moved[0] :, moved[1] :], classes(part))
    assert fractions[32] < 0.01 < fractions[0]


def test_windows_show_at_their_borders_where_they_are_not_blended() -> None:
    assert seam_ratio(*mapped(0, steep=0.02)) > 3
    assert seam_ratio(*mapped(32, steep=0.02)) < 1.5
    assert seam_ratio(*mapped(0, shift=0, steep=0.02)) == pytest.approx(1, abs=0.05)


def test_pixels_without_data_count_in_neither() -> None:
    first = np.array([[0, 1, NODATA], [1, 1, 1]], np.uint8)
    second = np.array([[0, 0, 1], [NODATA, 1, 1]], np.uint8)
    assert differing(first, second) == 1 / 4
