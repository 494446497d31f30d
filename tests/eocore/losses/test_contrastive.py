"""InfoNCE over token positions."""

import math

import pytest
import torch
from torch.nn import functional

from eocore.losses.contrastive import position_contrast


def test_it_is_the_mean_of_both_directions() -> None:
    first, second = torch.randn(1, 3, 4), torch.randn(1, 3, 4)
    similarity = torch.stack([torch.stack([functional.cosine_similarity(a, b, dim=0) for b in second[0]]) for a in first[0]]) / 0.2
    expected = torch.stack(
        [-(similarity[n, n] - similarity[n].logsumexp(0)) - (similarity[n, n] - similarity[:, n].logsumexp(0)) for n in range(3)]
    )
    torch.testing.assert_close(position_contrast(first, second, temperature=0.2), expected.mean()[None] / 2)


def test_which_sensor_comes_first_makes_no_difference() -> None:
    first, second = torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    torch.testing.assert_close(position_contrast(first, second, temperature=0.07), position_contrast(second, first, temperature=0.07))


def test_length_of_tokens_makes_no_difference() -> None:
    first, second = torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    torch.testing.assert_close(position_contrast(3 * first, second, temperature=0.07), position_contrast(first, second, temperature=0.07))


def test_tokens_of_other_places_are_pushed_away() -> None:
    tokens = torch.eye(4)[None]
    right = position_contrast(tokens, tokens, temperature=0.07).item()
    moved = position_contrast(tokens, tokens.roll(1, 1), temperature=0.07).item()
    alike = position_contrast(tokens, torch.ones(1, 4, 4), temperature=0.07).item()
    assert right == pytest.approx(math.log(1 + 3 * math.exp(-1 / 0.07)), abs=1e-6)
    assert alike == pytest.approx(math.log(4))
    assert moved == pytest.approx(math.log(3 + math.exp(1 / 0.07)), rel=1e-5)


def test_each_tile_is_its_own_set_of_negatives() -> None:
    first, second = torch.randn(3, 5, 4), torch.randn(3, 5, 4)
    alone = [position_contrast(first[tile : tile + 1], second[tile : tile + 1], temperature=0.07) for tile in range(3)]
    torch.testing.assert_close(position_contrast(first, second, temperature=0.07), torch.cat(alone))


def test_gradient_reaches_both_sensors_and_zero_tokens_give_no_nan() -> None:
    first, second = torch.randn(2, 5, 4, requires_grad=True), torch.randn(2, 5, 4, requires_grad=True)
    (position_contrast(first, second, temperature=0.07) * torch.tensor([1.0, 0.0])).sum().backward()
    assert first.grad is not None and second.grad is not None
    assert first.grad[0].any() and second.grad[0].any() and not first.grad[1].any()
    dummy = torch.zeros(1, 5, 4, requires_grad=True)
    (0.0 * position_contrast(dummy, dummy, temperature=0.07)).sum().backward()
    assert dummy.grad is not None and not dummy.grad.any()
