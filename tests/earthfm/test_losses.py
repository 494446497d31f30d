import math

import pytest
import torch

from earthfm.losses import patch_accuracy, patch_loss


def test_patches_are_compared_with_what_covers_them() -> None:
    logits = torch.tensor([[[0.75, 0.25], [0.5, 0.5]]]).log()
    fractions = torch.tensor([[[1.0, 0.0], [0.25, 0.75]]])
    assert patch_loss(logits, fractions).item() == pytest.approx(-(math.log(0.75) + math.log(0.5)) / 2)
    assert patch_accuracy(torch.tensor([[[2.0, 1.0], [2.0, 1.0]]]), fractions).item() == 0.5
