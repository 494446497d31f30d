"""Attention and alignment losses by their published formulas, and their weights."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from earthmind.losses import ATTENTION_FLOOR, LossSettings, alignment_loss, attention_loss, pair_weights, weighted
from earthmind.model.sensor_fusion import SensorFusion
from eocore.errors import ConfigError

GRID = (2, 2)


def left_half() -> Tensor:
    """(1, 8, 8) mask whose left half is set: half of each left token's mass on a 2 x 2 grid."""
    mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
    mask[:, :, :4] = 1
    return mask


class TestAttention:
    COLUMNS = torch.tensor([[3, 4, 5, 6]])

    def attend(self, **places: float) -> Tensor:
        """(1, 9) attention with given shares."""
        row = torch.zeros(1, 9)
        for place, share in places.items():
            row[0, int(place.removeprefix("at"))] = share
        return row

    def test_attention_on_the_mask_costs_nothing(self) -> None:
        loss = attention_loss(self.attend(at3=0.5, at5=0.5), self.COLUMNS, masks=left_half(), grid=GRID)
        assert loss.item() == pytest.approx(0.0, abs=1e-5)

    def test_it_is_the_divergence_from_the_target_with_a_floor(self) -> None:
        attention = torch.rand(1, 9)
        target = torch.tensor([[0.5, 0.0, 0.5, 0.0]])
        expected = functional.kl_div((attention[:, 3:7] + ATTENTION_FLOOR).log(), target, reduction="sum")
        torch.testing.assert_close(attention_loss(attention, self.COLUMNS, masks=left_half(), grid=GRID).sum(), expected)

    def test_attention_spent_elsewhere_costs_too(self) -> None:
        loss = attention_loss(self.attend(at3=0.25, at5=0.25, at0=0.5), self.COLUMNS, masks=left_half(), grid=GRID)
        assert loss.item() == pytest.approx(math.log(2), abs=1e-5)

    def test_no_attention_at_all_costs_what_the_floor_allows(self) -> None:
        loss = attention_loss(self.attend(at0=1.0), self.COLUMNS, masks=left_half(), grid=GRID)
        assert loss.item() == pytest.approx(math.log(0.5) - math.log(ATTENTION_FLOOR), rel=1e-5)

    def test_an_object_of_one_pixel_counts_as_a_whole_token(self) -> None:
        mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
        mask[0, 7, 7] = 1
        assert attention_loss(self.attend(at6=1.0), self.COLUMNS, masks=mask, grid=GRID).item() == pytest.approx(0.0, abs=1e-5)

    def test_an_empty_mask_asks_for_nothing(self) -> None:
        attention = torch.rand(1, 9, requires_grad=True)
        loss = attention_loss(attention, self.COLUMNS, masks=torch.zeros(1, 8, 8, dtype=torch.uint8), grid=GRID)
        loss.sum().backward()
        assert loss.item() == 0.0
        assert attention.grad is not None and not attention.grad.any()

    def test_every_view_gets_an_equal_share_of_the_target(self) -> None:
        two_views = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8]])
        assert attention_loss(
            self.attend(at1=0.25, at3=0.25, at5=0.25, at7=0.25), two_views, masks=left_half(), grid=GRID
        ).item() == pytest.approx(0.0, abs=1e-5)

    def test_filled_columns_count_for_nothing(self) -> None:
        attention = torch.rand(2, 9)
        columns = torch.tensor([[3, 4, 5, 6, -1, -1, -1, -1], [1, 2, 3, 4, 5, 6, 7, 8]])
        masks = left_half().expand(2, -1, -1)
        alone = [
            attention_loss(attention[:1], columns[:1, :4], masks=masks[:1], grid=GRID),
            attention_loss(attention[1:], columns[1:], masks=masks[1:], grid=GRID),
        ]
        torch.testing.assert_close(attention_loss(attention, columns, masks=masks, grid=GRID), torch.cat(alone))

    def test_without_any_column_it_is_zero(self) -> None:
        loss = attention_loss(torch.rand(1, 9), torch.zeros(1, 0, dtype=torch.long), masks=left_half(), grid=GRID)
        assert loss.tolist() == [0.0]

    def test_gradient_reaches_the_wanted_tokens_and_no_others(self) -> None:
        attention = torch.full((1, 9), 1 / 9, requires_grad=True)
        attention_loss(attention, self.COLUMNS, masks=left_half(), grid=GRID).sum().backward()
        assert attention.grad is not None
        assert attention.grad.nonzero().tolist() == [[0, 3], [0, 5]]
        assert (attention.grad[0, [3, 5]] < 0).all(), "more attention there costs less"


class TestAlignment:
    GROUP = torch.tensor([[0, 0, 1, 2, 2], [0, 1, 2, 3, 4]])
    """Two pairs, and between them a tile alone."""

    def fused(self, *, grad: bool = False) -> tuple[Tensor, Any]:
        tokens = torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(0)).requires_grad_(grad)
        return tokens, SensorFusion("concat", num_queries=2, width=6)(tokens, self.GROUP)

    def test_mse_is_the_mean_square_over_the_paired_tiles(self) -> None:
        tokens, fused = self.fused()
        weight = torch.tensor([0.25, 0.25, 9.0, 0.5, 0.5])
        first, last = (tokens[0] - tokens[1]).square().mean(), (tokens[3] - tokens[4]).square().mean()
        torch.testing.assert_close(alignment_loss(fused, LossSettings(), tile_weight=weight), 0.5 * first + last)

    def test_contrastive_is_zero_for_single_tiles_and_small_for_equal_pairs(self) -> None:
        settings = LossSettings(alignment_kind="contrastive", temperature=0.01)
        tokens = torch.randn(2, 4, 6)
        fusion = SensorFusion("concat", num_queries=2, width=6)
        same = fusion(tokens[[0, 0, 1, 1, 1]], self.GROUP)
        turned = fusion(torch.stack([tokens[0], tokens[0].flip(0), tokens[1], tokens[1], tokens[1]]), self.GROUP)
        ones = torch.ones(5)
        assert alignment_loss(same, settings, tile_weight=ones).item() < 1.0 < alignment_loss(turned, settings, tile_weight=ones).item()
        alone = fusion(tokens, torch.tensor([[0, 1], [0, 1]]))
        assert alignment_loss(alone, settings, tile_weight=torch.ones(2)).item() == 0.0

    @pytest.mark.parametrize("kind", ["mse", "contrastive"])
    def test_gradient_reaches_the_pairs_alone(self, kind: str) -> None:
        tokens, fused = self.fused(grad=True)
        alignment_loss(fused, LossSettings(alignment_kind=kind), tile_weight=torch.ones(5)).backward()
        assert tokens.grad is not None
        assert tokens.grad.abs().sum((1, 2)).gt(0).tolist() == [True, True, False, True, True]

    def test_samples_weigh_alike_whatever_their_number_of_tiles(self) -> None:
        weights = pair_weights(torch.tensor([0, 0, 2, 2, 2, 2]), 4)
        assert weights.tolist() == [1 / 8, 1 / 8, *[1 / 16] * 4]


class TestSettings:
    def test_defaults_are_the_published_weights_and_points(self) -> None:
        settings = LossSettings()
        assert (settings.text, settings.mask, settings.dice, settings.attention, settings.alignment) == (1.0, 2.0, 0.5, 0.1, 1.0)
        assert (settings.num_points, settings.oversample, settings.importance, settings.alignment_kind) == (12544, 3.0, 0.75, "mse")

    def test_each_loss_is_weighted_and_named_for_the_trainer(self) -> None:
        losses = weighted({"text": torch.tensor(3.0), "mask": torch.tensor(5.0)}, LossSettings(text=2.0, mask=0.5))
        assert {name: value.item() for name, value in losses.items()} == {"loss_text": 6.0, "loss_mask": 2.5}

    def test_an_unknown_alignment_is_named_with_the_choices(self) -> None:
        with pytest.raises(ConfigError, match=r"losses.alignment_kind='cosine' is unknown; choices: mse, contrastive"):
            LossSettings(alignment_kind="cosine")
