from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from earthmind.model.sensor_fusion import FusedTokens, SensorFusion

WIDTH, TOKENS = 8, 5
PAIR = torch.tensor([[0, 0, 1, 1], [0, 1, 2, 3]])
"""Two places, two sensors each."""


@pytest.fixture
def make_fusion() -> Callable[..., SensorFusion]:
    def build(kind: str = "mutual_attention") -> SensorFusion:
        fusion = SensorFusion(kind, num_queries=2, width=WIDTH)
        if fusion.queries is not None:
            torch.nn.init.normal_(fusion.queries, generator=torch.Generator().manual_seed(0))
        return fusion

    return build


def random_tokens(num_tiles: int, seed: int = 1) -> Tensor:
    return torch.randn(num_tiles, TOKENS, WIDTH, generator=torch.Generator().manual_seed(seed))


def changed(before: FusedTokens, after: FusedTokens) -> list[bool]:
    """Which tiles' fused tokens differ."""
    return [not torch.equal(one, two) for one, two in zip(before.tokens, after.tokens, strict=True)]


class TestMutualAttention:
    def test_importance_is_the_published_sum(self, make_fusion: Callable[..., SensorFusion]) -> None:
        fusion, tokens = make_fusion(), random_tokens(4)
        fused = fusion(tokens, PAIR)
        for tile, other in ((0, 1), (1, 0), (2, 3), (3, 2)):
            for index in range(TOKENS):
                score = sum(torch.dot(tokens[other, index], query * tokens[tile, index]) for query in fusion.queries)
                torch.testing.assert_close(fused.importance[tile, index], torch.sigmoid(score))
                torch.testing.assert_close(fused.tokens[tile, index], torch.sigmoid(score) * tokens[tile, index])

    def test_three_sensors_are_weighted_by_the_mean_of_the_other_two(self, make_fusion: Callable[..., SensorFusion]) -> None:
        tokens = random_tokens(3)
        fused = make_fusion()(tokens, torch.tensor([[0, 0, 0], [0, 1, 2]]))
        torch.testing.assert_close(fused.others[1], (tokens[0] + tokens[2]) / 2)

    def test_views_of_one_sensor_are_not_each_other_s_other(self, make_fusion: Callable[..., SensorFusion]) -> None:
        tokens = random_tokens(3)
        fused = make_fusion()(tokens, torch.tensor([[0, 0, 0], [0, 0, 1]]))
        torch.testing.assert_close(fused.others[0], tokens[2])
        torch.testing.assert_close(fused.others[2], (tokens[0] + tokens[1]) / 2)

    def test_changing_one_sensor_changes_the_other_at_that_place_alone(self, make_fusion: Callable[..., SensorFusion]) -> None:
        fusion, tokens = make_fusion(), random_tokens(4)
        other = tokens.clone()
        other[1] = other[1].flip(0)
        assert changed(fusion(tokens, PAIR), fusion(other, PAIR)) == [True, True, False, False]

    def test_a_sensor_alone_has_importance_exactly_one(self, make_fusion: Callable[..., SensorFusion]) -> None:
        tokens = 1e4 * random_tokens(5)
        fused = make_fusion()(tokens, torch.tensor([[0, 0, 1, 2, 2], [0, 1, 2, 3, 3]]))
        assert fused.paired.tolist() == [1, 1, 0, 0, 0]
        assert (fused.importance[2:] == 1).all()
        assert torch.equal(fused.tokens[2:], tokens[2:])
        assert not fused.others[2:].any()

    def test_samples_of_a_batch_do_not_meet(self, make_fusion: Callable[..., SensorFusion]) -> None:
        fusion, first, second = make_fusion(), random_tokens(2, seed=1), random_tokens(2, seed=2)
        together = fusion(torch.cat([first, second]), PAIR)
        apart = torch.tensor([[0, 0], [0, 1]])
        torch.testing.assert_close(together.tokens, torch.cat([fusion(first, apart).tokens, fusion(second, apart).tokens]))

    def test_order_of_the_tiles_is_free(self, make_fusion: Callable[..., SensorFusion]) -> None:
        fusion, tokens, order = make_fusion(), random_tokens(4), torch.tensor([3, 0, 2, 1])
        torch.testing.assert_close(fusion(tokens[order], PAIR[:, order]).tokens, fusion(tokens, PAIR).tokens[order])

    def test_gradient_reaches_the_queries_through_pairs_alone(self, make_fusion: Callable[..., SensorFusion]) -> None:
        fusion = make_fusion()
        fusion(random_tokens(4), PAIR).tokens.sum().backward()
        assert (fusion.queries.grad != 0).all()
        fusion.queries.grad = None
        fusion(random_tokens(2), torch.tensor([[0, 1], [0, 1]])).tokens.sum().backward()
        assert not fusion.queries.grad.any()


class TestConcat:
    def test_tokens_stay_and_sensors_do_not_meet(self, make_fusion: Callable[..., SensorFusion]) -> None:
        fusion, tokens = make_fusion("concat"), random_tokens(4)
        other = tokens.clone()
        other[1] = other[1].flip(0)
        assert not list(fusion.parameters())
        assert torch.equal(fusion(tokens, PAIR).tokens, tokens)
        assert changed(fusion(tokens, PAIR), fusion(other, PAIR)) == [False, True, False, False]

    def test_counterparts_are_there_for_the_alignment_loss(self, make_fusion: Callable[..., SensorFusion]) -> None:
        tokens = random_tokens(4)
        torch.testing.assert_close(make_fusion("concat")(tokens, PAIR).others, tokens[[1, 0, 3, 2]])
