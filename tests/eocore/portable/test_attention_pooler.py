"""The attention pooler: counts of the full size, a written-out reference, levels that do not see each other, and refusals."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from eocore.portable.attention_pooler import QUERY_STD, AttentionPooler, PoolerLayer, PoolerSizes, sine_positions

TINY = {"width": 16, "output_width": 12, "num_layers": 2, "num_heads": 4}


def pooler(*num_queries: int, input_width: int | None = None) -> AttentionPooler:
    torch.manual_seed(0)
    return AttentionPooler(PoolerSizes(**TINY, num_queries=num_queries, input_width=input_width))


def reference_layer(layer: PoolerLayer, states: Tensor, read: Tensor) -> Tensor:
    """By torch's own multi-head attention."""
    attention = nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        parts = (layer.q_proj, layer.k_proj, layer.v_proj)
        attention.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        attention.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    attention.out_proj.load_state_dict(layer.out_proj.state_dict())
    keys = layer.read_norm(read)
    states = states + attention(layer.query_norm(states), keys, keys)[0]
    return states + layer.down_proj(functional.gelu(layer.up_proj(layer.mlp_norm(states))))


@pytest.mark.parametrize(("width", "expected"), [(768, 45_796_864), (1024, 79_935_488)])
@pytest.mark.parametrize("num_queries", [(144,), (64, 48, 32)])
def test_full_size_has_the_parameters_of_the_published_one(width: int, expected: int, num_queries: tuple[int, ...]) -> None:
    """768: Aerith with LLaMA-2-7B; 1024: LHRS-Bot. Derived: 6 (12 d^2 + 15 d) + 144 d + 4096 (d + 1)."""
    with torch.device("meta"):
        made = AttentionPooler(PoolerSizes(width=width, output_width=4096, num_queries=num_queries))
    assert sum(parameter.numel() for parameter in made.parameters()) == expected


def test_one_level_equals_a_written_out_reference() -> None:
    made, tokens = pooler(5), torch.randn(3, 7, 16)
    states = made.queries.expand(3, -1, -1)
    read = torch.cat([states, tokens], dim=1)
    for layer in made.layers:
        states = reference_layer(layer, states, read)
    torch.testing.assert_close(made([tokens]), made.output_projection(states))


def test_sine_positions_are_added_to_what_is_compared_and_read() -> None:
    made, tokens = AttentionPooler(PoolerSizes(**TINY, num_queries=(4,), positions="sine")), torch.randn(3, 9, 16)
    places = torch.cat([sine_positions(2, 16, span=3), sine_positions(3, 16, span=3)])
    states = made.queries.expand(3, -1, -1)
    read = torch.cat([states, tokens], dim=1)
    for layer in made.layers:
        seen = layer.read_norm(read) + places
        attention = layer._heads(layer.q_proj(layer.query_norm(states) + places[:4])) @ layer._heads(layer.k_proj(seen)).mT / 2.0
        states = states + layer.out_proj((attention.softmax(-1) @ layer._heads(layer.v_proj(seen))).transpose(1, 2).flatten(2))
        states = states + layer.down_proj(functional.gelu(layer.up_proj(layer.mlp_norm(states))))
    torch.testing.assert_close(made([tokens]), made.output_projection(states))
    assert set(made.state_dict()) == set(pooler(4).state_dict())  # positions are no weights


def test_sine_positions_of_two_grids_lie_in_one_image() -> None:
    coarse, fine = sine_positions(2, 16, span=6).unflatten(0, (2, 2)), sine_positions(6, 16, span=6).unflatten(0, (6, 6))
    torch.testing.assert_close(coarse[0, 1], fine[1, 4])  # the middle of a quarter is the middle of a patch
    torch.testing.assert_close(fine[2, 3, :8], fine[2, 5, :8])  # rows first
    torch.testing.assert_close(fine[0, 1, 0], torch.tensor(0.5).sin())
    assert torch.cdist(fine.flatten(0, 1), fine.flatten(0, 1)).add(torch.eye(36) * 9).min() > 0.5


def test_sine_positions_need_squares() -> None:
    for wrong in ({"num_queries": (144, 48)}, {"num_queries": (144,), "width": 6, "num_heads": 2}):
        with pytest.raises(ValueError, match="needs a width that 4 divides and square numbers of queries"):
            PoolerSizes(**{**TINY, **wrong}, positions="sine")
    with pytest.raises(ValueError, match="positions='learned' of an attention pooler is unknown; choices: none, sine"):
        PoolerSizes(**TINY, positions="learned")
    with pytest.raises(ValueError, match="8 image tokens of a level are no square grid"):
        AttentionPooler(PoolerSizes(**TINY, num_queries=(4,), positions="sine"))([torch.randn(1, 8, 16)])


def test_each_level_is_read_by_its_own_queries_as_by_a_pooler_of_one_level() -> None:
    made, alone = pooler(4, 3, 2, input_width=8), pooler(3, input_width=8)
    alone.load_state_dict({**made.state_dict(), "queries": made.queries[:, 4:7]})
    levels = [torch.randn(2, num_tokens, 8) for num_tokens in (6, 9, 5)]
    whole = made(levels)
    assert whole.shape == (2, 9, 12)
    torch.testing.assert_close(whole[:, 4:7], alone([levels[1]]))
    other = made([levels[0], levels[1] + 1.0 + torch.randn(2, 9, 8), levels[2]])
    torch.testing.assert_close(other[:, [0, 1, 2, 3, 7, 8]], whole[:, [0, 1, 2, 3, 7, 8]])
    assert not torch.allclose(other[:, 4:7], whole[:, 4:7], atol=1e-4)


def test_every_parameter_gets_a_gradient_and_queries_begin_small() -> None:
    made = pooler(40, 24, input_width=8)
    assert 0.5 * QUERY_STD < float(made.queries.detach().std()) < 1.5 * QUERY_STD
    made([torch.randn(2, 6, 8), torch.randn(2, 4, 8)]).square().sum().backward()
    assert [name for name, parameter in made.named_parameters() if parameter.grad is None] == []


def test_samples_of_a_batch_do_not_see_each_other() -> None:
    made, tokens = pooler(5), torch.randn(3, 7, 16)
    torch.testing.assert_close(made([tokens])[1:2], made([tokens[1:2]]))


def test_levels_must_be_as_many_as_groups_of_queries() -> None:
    with pytest.raises(ValueError, match=r"queries for 3 levels \(4, 3, 2\) got image tokens of 1: .* Give one group of tokens for each"):
        pooler(4, 3, 2)([torch.randn(1, 6, 16)])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_heads": 5}, "width 16 cannot be divided among 5 heads"),
        ({"num_queries": ()}, "at least one level"),
        ({"num_queries": (4, 0)}, "are positive"),
        ({"input_width": 0}, "are positive"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PoolerSizes(**{**TINY, **wrong})
