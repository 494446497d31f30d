"""Windows over a scene, and their weights."""

import numpy as np
import pytest

from eocore.errors import ConfigError
from eocore.scenes.windows import Tiling, blocks, overlap_of, within


@pytest.mark.parametrize(("height", "width"), [(64, 64), (65, 200), (10, 300), (63, 64), (500, 129)])
@pytest.mark.parametrize("overlap", [0, 7, 32])
def test_every_pixel_is_seen_and_no_window_leaves_the_scene(height: int, width: int, overlap: int) -> None:
    tiling = Tiling(height=height, width=width, side=64, overlap=overlap)
    seen = np.zeros((height, width), int)
    windows = tiling.windows()
    for row, col, rows, cols in windows:
        assert rows == cols == tiling.window_side and 0 <= row <= height - rows and 0 <= col <= width - cols
        seen[row : row + rows, col : col + cols] += 1
    assert seen.min() >= 1 and len(set(windows)) == len(windows)


def test_neighbours_share_the_overlap_at_least() -> None:
    rows = sorted({window[0] for window in Tiling(height=1000, width=64, side=64, overlap=16).windows()})
    assert set(np.diff(rows)) == {46, 47} and rows[-1] == 936  # 48 at most


def test_windows_that_are_done_together_lie_side_by_side() -> None:
    windows = Tiling(height=640, width=640, side=64, overlap=0).windows()[:64]
    assert {window[0] for window in windows} == {window[1] for window in windows} == set(range(0, 512, 64))


def test_weights_of_neighbours_pass_on_evenly() -> None:
    tiling = Tiling(height=64, width=112, side=64, overlap=16)
    ramp = tiling.weights()[32]
    assert ramp[24] == 1 and 0 < ramp[0] < 0.05
    np.testing.assert_allclose(ramp[48:] + ramp[:16], 1, rtol=1e-6)  # the right part of one and the left of the next


def test_blocks_stand_side_by_side() -> None:
    found = blocks(100, 150, side=64)
    assert len(found) == 6 and sum(block[2] * block[3] for block in found) == 100 * 150
    assert all(overlap_of(first, second) is None for first in found for second in found if first != second)


def test_what_two_windows_share() -> None:
    assert overlap_of((0, 0, 10, 10), (5, 8, 10, 10)) == (5, 8, 5, 2)
    assert within((5, 8, 5, 2), (5, 8, 10, 10)) == (slice(0, 5), slice(0, 2))


@pytest.mark.parametrize(("side", "overlap"), [(0, 0), (64, -1), (64, 33)])
def test_windows_that_make_no_sense_are_refused(side: int, overlap: int) -> None:
    with pytest.raises(ConfigError, match=rf"windows of {side} px that overlap by {overlap} px: expected"):
        Tiling(height=100, width=100, side=side, overlap=overlap)
