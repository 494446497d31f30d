import pytest
import torch

from aerith.losses import cosine_loss


def test_the_cosine_loss_is_nought_for_the_same_direction_and_two_for_the_opposite() -> None:
    tokens = torch.randn(2, 5, 8)
    assert cosine_loss([3 * tokens], [tokens]).item() == pytest.approx(0.0, abs=1e-6)
    assert cosine_loss([-tokens, tokens], [tokens, tokens]).item() == pytest.approx(1.0, abs=1e-6)
