"""Windows blended into one scene: without seams, in any blocks, blind to what has no data."""

import numpy as np
import pytest

from eocore.scenes.blending import blended_blocks
from eocore.scenes.windows import Tiling, within

HEIGHT, WIDTH = 150, 210
TILING = Tiling(height=HEIGHT, width=WIDTH, side=64, overlap=24)


def whole(tiling: Tiling, scores: dict[int, np.ndarray | None], *, side: int = 64) -> np.ndarray:
    found = np.zeros((1, HEIGHT, WIDTH), np.float32)
    for block, part in blended_blocks(tiling, scores.__getitem__, num_layers=1, side=side):
        found[:, *within(block, (0, 0, HEIGHT, WIDTH))] = part
    return found


def seam(scores: np.ndarray) -> float:
    """The largest step between neighbouring pixels."""
    return float(max(np.abs(np.diff(scores[0], axis=0)).max(), np.abs(np.diff(scores[0], axis=1)).max()))


def shifted(tiling: Tiling) -> dict[int, np.ndarray | None]:
    """Of a model whose logits differ from window to window by up to 2, whatever is there."""
    rng = np.random.default_rng(0)
    side = tiling.window_side
    return {index: np.full((1, side, side), rng.uniform(-1, 1), np.float16) for index in range(len(tiling.windows()))}


def test_a_smooth_scene_comes_back_as_it_was() -> None:
    scene = np.add.outer(np.linspace(0, 4, HEIGHT), np.linspace(0, 3, WIDTH)).astype(np.float32)[None]
    parts: dict[int, np.ndarray | None] = {
        index: scene[:, *within(window, (0, 0, HEIGHT, WIDTH))] for index, window in enumerate(TILING.windows())
    }
    np.testing.assert_allclose(whole(TILING, parts), scene, atol=1e-5)


def test_blending_leaves_no_seam_where_windows_disagree() -> None:
    plain = Tiling(height=HEIGHT, width=WIDTH, side=64, overlap=0)
    assert seam(whole(plain, shifted(plain))) > 0.5
    assert seam(whole(TILING, shifted(TILING))) < 2 / 24 + 0.05  # a difference of 2 handed over in 24 px


@pytest.mark.parametrize("side", [37, 100, 1024])
def test_blocks_do_not_show(side: int) -> None:
    parts = shifted(TILING)
    np.testing.assert_array_equal(whole(TILING, parts, side=side), whole(TILING, parts))


def test_pixels_and_windows_without_data_count_nothing() -> None:
    parts = {index: np.full((1, 64, 64), 2, np.float16) for index in range(len(TILING.windows()))}
    half: dict[int, np.ndarray | None] = {**parts}
    half[0] = np.where(np.arange(64) < 32, np.nan, parts[0]).astype(np.float16)
    half[len(parts) - 1] = None
    found = whole(TILING, half)
    assert np.isnan(found[0, :29, :32]).all() and np.isnan(found[0, -1, -1])
    np.testing.assert_allclose(found[np.isfinite(found)], 2, rtol=1e-6)
