"""The query connector: counts of the full size, torch's formula written out, tokens without data, and refusals."""

import pytest
import torch
from torch.nn import functional

from eocore.portable.query_connector import QueryConnector, QueryConnectorSizes


def connector(**sizes: int) -> QueryConnector:
    torch.manual_seed(0)
    return QueryConnector(QueryConnectorSizes(**{"input_width": 6, "width": 16, "num_queries": 3, "num_heads": 4, **sizes})).eval()


def test_full_size_has_the_parameters_of_the_published_one() -> None:
    """Nano and Phi of Moondream 2; fusion.pt of the published checkpoint is a file of 202,773,593 bytes."""
    with torch.device("meta"):
        made = QueryConnector(QueryConnectorSizes(input_width=128, width=2048))
    count = sum(parameter.numel() for parameter in made.parameters())
    assert count == 50_692_096
    assert 0 < 202_773_593 - 4 * count < 10_000


def test_it_equals_the_formula_written_out() -> None:
    made, tokens = connector(), torch.randn(2, 5, 6)
    read = made.input_norm(made.input_projection(tokens))
    queries = made.query_norm(made.queries).expand(2, -1, -1)
    weight, bias = made.attention.in_proj_weight.chunk(3), made.attention.in_proj_bias.chunk(3)
    q, k, v = (
        functional.linear(part, w, b).unflatten(-1, (4, 4)).transpose(1, 2)
        for part, w, b in zip((queries, read, read), weight, bias, strict=True)
    )
    mixed = ((q @ k.transpose(-1, -2)) / 2).softmax(-1) @ v
    states = queries + made.attention.out_proj(mixed.transpose(1, 2).flatten(2))
    expected = made.output_norm(states + made.down_proj(functional.gelu(made.up_proj(states))))
    assert made(tokens).shape == (2, 3, 16)
    torch.testing.assert_close(made(tokens), expected)


def test_tokens_without_data_change_nothing() -> None:
    made, tokens = connector(), torch.randn(1, 5, 6)
    longer = torch.cat([tokens, torch.full((1, 2, 6), 9.0)], dim=1)
    missing = torch.tensor([[False] * 5 + [True] * 2])
    torch.testing.assert_close(made(longer, missing), made(tokens))
    assert not torch.allclose(made(longer), made(tokens), atol=1e-3)


def test_every_parameter_gets_a_gradient() -> None:
    made = connector()
    made(torch.randn(2, 5, 6)).square().mul(torch.randn(2, 3, 16)).sum().backward()
    without = [name for name, parameter in made.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert without == []


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"num_queries": 0}, "are positive"), ({"num_heads": 5}, "width 16 cannot be divided among 5 heads")],
)
def test_sizes_that_make_no_connector_are_refused(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        connector(**sizes)
