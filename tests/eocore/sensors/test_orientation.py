"""Grids in all orientations: north comes up, windows and transforms follow, and back."""

from itertools import product

import numpy as np
import pytest
from affine import Affine

from eocore.errors import DataError
from eocore.sensors.orientation import AS_STORED, Turn, check_as_stored, north_up, stored_transform

NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_600_000)
TURNS = [Turn(*choice) for choice in product((False, True), repeat=3)]
SIZE = (4, 6)


def stored_as(turn: Turn) -> Affine:
    """The transform of a file that `turn` brings to `NORTH_UP`."""
    return stored_transform(NORTH_UP, SIZE, turn=turn)


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_pixels_windows_and_transforms_agree_in_every_orientation(turn: Turn) -> None:
    turned = np.arange(24).reshape(SIZE)
    stored = turn.undo(turned)
    assert north_up(stored_as(turn), source="a.tif") == turn
    assert (turn.apply(stored) == turned).all() and turn.size(stored.shape) == SIZE
    for row, col in ((0, 0), (1, 4), (3, 5)):  # the same pixel lies at the same point of the ground
        stored_row, stored_col = np.argwhere(stored == turned[row, col])[0]
        there = stored_as(turn) @ (stored_col + 0.5, stored_row + 0.5)
        assert there == pytest.approx(NORTH_UP @ (col + 0.5, row + 0.5))
    window = (1, 2, 2, 3)
    row, col, height, width = turn.stored_window(window, size=SIZE)
    assert (turn.apply(stored[row : row + height, col : col + width]) == turned[1:3, 2:5]).all()
    assert turn.turned_window((row, col, height, width), size=SIZE) == window


def test_a_grid_with_north_up_is_read_as_stored() -> None:
    assert north_up(NORTH_UP, source="a.tif") == AS_STORED and not AS_STORED
    assert north_up(NORTH_UP @ Affine.rotation(3), source="a.tif") == AS_STORED, "meridian convergence"


@pytest.mark.parametrize("angle", [177, 187])
def test_small_rotations_of_other_orientations_are_read(angle: float) -> None:
    assert north_up(NORTH_UP @ Affine.rotation(angle), source="a.tif") == Turn(False, True, True)


@pytest.mark.parametrize("transform", [NORTH_UP @ Affine.rotation(30), NORTH_UP @ Affine.rotation(135), NORTH_UP @ Affine.shear(25, 0)])
def test_strong_rotations_and_shears_are_refused(transform: Affine) -> None:
    with pytest.raises(DataError, match=r"a\.tif: its grid is rotated or sheared by \d+ degrees, so up is not north .*gdalwarp"):
        north_up(transform, source="a.tif")


def test_numbers_that_count_stored_pixels_do_not_fit_a_turned_scene() -> None:
    class Scene:
        path = "a.tif"

        def __init__(self, turn: Turn) -> None:
            self.turn = turn

    check_as_stored([Scene(AS_STORED)], source="x.jsonl:1")
    with pytest.raises(DataError, match=r"x\.jsonl:1: the rows of a\.tif do not run south, so it was turned, but boxes"):
        check_as_stored([Scene(AS_STORED), Scene(Turn(reverse_rows=True))], source="x.jsonl:1")
