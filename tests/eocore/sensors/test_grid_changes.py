"""Changes of a pixel grid: sizes, masks and where each point was before."""

import numpy as np
import pytest
from affine import Affine

from eocore.sensors.grid_changes import GridChange, GridCut, GridResize, GridTurn
from eocore.sensors.orientation import Turn

CHANGES = [GridTurn(Turn(transpose=True, reverse_cols=True)), GridTurn(Turn(reverse_rows=True)), GridCut((1, 2, 3, 4)), GridResize((8, 18))]


@pytest.mark.parametrize("change", CHANGES, ids=["clockwise", "over", "cut", "resize"])
def test_a_mask_is_where_its_pixels_came_from(change: GridChange) -> None:
    mask = np.random.default_rng(0).random((4, 6)) < 0.5
    after = change.mask(mask)
    assert after.shape == change.size((4, 6))
    to_before = Affine(*change.to_before((4, 6)))
    for row, col in np.ndindex(*after.shape):
        x, y = to_before @ (col + 0.5, row + 0.5)
        assert after[row, col] == mask[int(y), int(x)]


def test_the_smallest_object_survives_a_resize_and_an_empty_mask_stays_empty() -> None:
    mask = np.zeros((40, 40), bool)
    assert not GridResize((4, 4)).mask(mask).any()
    mask[33, 7] = True
    assert np.argwhere(GridResize((4, 4)).mask(mask)).tolist() == [[3, 0]]
