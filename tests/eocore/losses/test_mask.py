"""Mask losses on sampled points, and where the points lie."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from eocore.losses.mask import dice_loss, mask_losses, uncertain_points

NUM_POINTS = 400


def centres(height: int, width: int) -> Tensor:
    """(1, H * W, 2) places (x, y) of all pixel centres."""
    rows, columns = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    return torch.stack([columns, rows], -1).reshape(1, -1, 2)


def boundary(width: int = 64) -> Tensor:
    """(1, W, W) logits that rise from left to right and are 0 in the middle."""
    return torch.linspace(-8, 8, width).expand(1, width, width).contiguous()


class TestDice:
    def test_published_formula(self) -> None:
        sure = torch.tensor([[40.0, -40.0, 40.0, -40.0]])
        truth = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
        assert dice_loss(sure, truth).item() == pytest.approx(1 - (2 * 1 + 1) / (2 + 2 + 1))
        assert dice_loss(torch.zeros(1, 4), truth).item() == pytest.approx(1 - (2 * 1 + 1) / (2 + 2 + 1))

    def test_an_empty_mask_drawn_empty_costs_nothing(self) -> None:
        assert dice_loss(torch.full((1, 9), -40.0), torch.zeros(1, 9)).item() == pytest.approx(0.0)

    def test_a_right_mask_costs_nothing_and_a_wrong_one_all_but_the_smoothing(self) -> None:
        truth = torch.cat([torch.ones(1, 50), torch.zeros(1, 50)], 1)
        assert dice_loss(80 * truth - 40, truth).item() == pytest.approx(0.0)
        assert dice_loss(40 - 80 * truth, truth).item() == pytest.approx(1 - 1 / 101)


class TestLossesOnPoints:
    def test_on_all_pixel_centres_they_are_those_of_the_pixels(self) -> None:
        logits, masks = torch.randn(3, 6, 8), (torch.rand(3, 6, 8) > 0.5).byte()
        mask, dice = mask_losses(logits, masks, points=centres(6, 8).expand(3, -1, -1))
        expected = functional.binary_cross_entropy_with_logits(logits, masks.float(), reduction="none").mean((1, 2))
        torch.testing.assert_close(mask, expected)
        torch.testing.assert_close(dice, dice_loss(logits.flatten(1), masks.flatten(1).float()))

    def test_a_mask_of_another_size_is_read_at_the_same_places(self) -> None:
        logits = torch.where(torch.arange(8) < 4, -40.0, 40.0).expand(1, 8, 8).contiguous()
        masks = (torch.arange(32) >= 16).expand(1, 32, 32).byte()
        mask, dice = mask_losses(logits, masks, points=centres(8, 8))
        assert mask.item() == pytest.approx(0.0, abs=1e-6) and dice.item() == pytest.approx(0.0, abs=1e-6)

    def test_points_are_x_then_y(self) -> None:
        logits = torch.full((1, 4, 4), -5.0)
        logits[0, 0, 3] = 5.0
        upper_right = torch.tensor([[[0.875, 0.125]]])
        mask, _ = mask_losses(logits, torch.ones(1, 4, 4), points=upper_right)
        assert mask.item() == pytest.approx(math.log1p(math.exp(-5)))

    def test_gradient_reaches_the_pixels_around_the_points_and_no_others(self) -> None:
        logits = torch.zeros(1, 8, 8, requires_grad=True)
        mask, dice = mask_losses(logits, torch.ones(1, 8, 8), points=torch.tensor([[[0.5, 0.5]]]))
        (mask + dice).sum().backward()
        assert logits.grad is not None
        assert logits.grad.nonzero().tolist() == [[0, 3, 3], [0, 3, 4], [0, 4, 3], [0, 4, 4]]


class TestPoints:
    def test_they_lie_where_the_logit_is_smallest(self) -> None:
        points = uncertain_points(boundary(), NUM_POINTS, seeds=[0], counts=[1])
        assert points.shape == (1, NUM_POINTS, 2)
        assert (points >= 0).all() and (points <= 1).all()
        # 1200 candidates, of which the 300 nearest to the middle stay: a quarter of the width; some lie on the outermost half pixel,
        # where reading fades to 0 (as in PointRend)
        distance = (points[0, :, 0] - 0.5).abs()
        inside = ((points[0] - 0.5).abs() < 0.5 - 1 / 64).all(1)
        assert (distance[:300][inside[:300]] < 0.14).all() and inside[:300].float().mean() > 0.9
        assert (distance[300:] > 0.25).float().mean() == pytest.approx(0.5, abs=0.15), "the last quarter lies anywhere"
        assert points[0, :, 1].std() == pytest.approx(math.sqrt(1 / 12), abs=0.03), "the height says nothing"

    def test_without_importance_they_lie_anywhere(self) -> None:
        points = uncertain_points(boundary(), NUM_POINTS, seeds=[0], counts=[1], importance=0.0)
        assert ((points[0, :, 0] - 0.5).abs() > 0.25).float().mean() == pytest.approx(0.5, abs=0.1)

    def test_more_candidates_give_more_certain_choices(self) -> None:
        spread = [
            uncertain_points(boundary(), NUM_POINTS, seeds=[0], counts=[1], oversample=factor, importance=1.0)[0, :, 0].std()
            for factor in (1.0, 3.0, 9.0)
        ]
        assert spread[0] > 2 * spread[1] > 4 * spread[2]

    def test_a_sample_draws_the_same_points_in_any_batch(self) -> None:
        first, second = (torch.randn(count, 16, 16, generator=torch.Generator().manual_seed(count)) for count in (3, 2))
        draw = {"num_points": 50, "oversample": 3.0, "importance": 0.75}
        alone = [uncertain_points(logits, seeds=[seed], counts=[len(logits)], **draw) for logits, seed in ((first, 7), (second, 8))]
        together = uncertain_points(torch.cat([first, second]), seeds=[7, 8], counts=[3, 2], **draw)
        turned = uncertain_points(torch.cat([second, first]), seeds=[8, 7], counts=[2, 3], **draw)
        assert torch.equal(together, torch.cat(alone))
        assert torch.equal(turned, torch.cat(alone[::-1]))

    def test_the_seed_decides_and_the_process_s_own_randomness_is_left_alone(self) -> None:
        torch.manual_seed(1)
        expected = torch.rand(3)
        torch.manual_seed(1)
        points = [uncertain_points(boundary(), 50, seeds=[seed], counts=[1]) for seed in (3, 3, 4)]
        assert torch.equal(torch.rand(3), expected)
        assert torch.equal(points[0], points[1]) and not torch.equal(points[0], points[2])

    def test_no_gradient_goes_through_the_choice(self) -> None:
        logits = torch.randn(1, 16, 16, requires_grad=True)
        assert not uncertain_points(logits, 50, seeds=[0], counts=[1]).requires_grad

    def test_half_precision_logits_are_taken(self) -> None:
        points = uncertain_points(boundary().bfloat16(), 50, seeds=[0], counts=[1])
        assert points.dtype == torch.float32
