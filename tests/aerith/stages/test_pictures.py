import numpy as np
import torch

from aerith.stages.pictures import class_shares


def test_shares_are_those_of_the_pixels_of_each_patch_row_by_row() -> None:
    first = np.zeros((8, 8), dtype=bool)
    first[:4, 4:] = True  # the second of 2 x 2 patches
    first[4:, :2] = True  # half of the third
    shares = class_shares([first, ~first], 2)
    torch.testing.assert_close(shares, torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]))
