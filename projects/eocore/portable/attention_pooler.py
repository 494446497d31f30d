"""Learned queries that read image tokens by cross-attention: many tokens of one level or several become a fixed number."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

QUERY_STD = 0.02
"""Standard deviation of new queries. Source: LHRS-Bot (github.com/NJU-LHRS/LHRS-Bot, 84d9fdd), `AttnPooler`."""


@dataclass(frozen=True, kw_only=True)
class PoolerSizes:
    """Sizes of an `AttentionPooler`; numbers of layers, heads and queries are LHRS-Bot's.

    Attributes:
        width: of queries and layers.
        output_width: of what comes out, the language model's.
        input_width: of image tokens; None = `width`, which needs no projection.
        num_layers: cross-attention layers, the same for all levels.
        num_heads: of each.
        num_queries: of each level, the first first: (144,) for one level, (64, 48, 32) for three.
        mlp_ratio: hidden width of a layer's MLP, by `width`.

    Raises:
        ValueError: a size is not positive, or `width` is no multiple of `num_heads`.
    """

    width: int
    output_width: int
    input_width: int | None = None
    num_layers: int = 6
    num_heads: int = 16
    num_queries: Sequence[int] = (144,)
    mlp_ratio: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_queries", tuple(self.num_queries))
        sizes = (self.width, self.output_width, self.num_layers, self.num_heads, self.mlp_ratio, *self.num_queries)
        if not self.num_queries or min(sizes) < 1 or (self.input_width is not None and self.input_width < 1):
            raise ValueError(f"sizes of an attention pooler are positive, with queries for at least one level; found {self}.")
        if self.width % self.num_heads:
            raise ValueError(
                f"an attention pooler of width {self.width} cannot be divided among {self.num_heads} heads. Choose a multiple, or other "
                "heads."
            )


class AttentionPooler(nn.Module):
    """Image tokens of each level -> as many tokens as there are queries, in the width of the language model.

    Queries of a level read its tokens and their own initial values, which stay the same through all layers; levels share the layers and do
    not see each other. Source: LHRS-Bot, `AttnPooler`, of which it is the reading by formulas; with one level it is Aerith's 144 queries.

    Args:
        sizes: see there.
    """

    def __init__(self, sizes: PoolerSizes) -> None:
        super().__init__()
        self.sizes = sizes
        given = sizes.width if sizes.input_width is None else sizes.input_width
        self.queries = nn.Parameter(torch.empty(1, sum(sizes.num_queries), sizes.width))
        self.input_projection = nn.Identity() if given == sizes.width else nn.Linear(given, sizes.width)
        self.layers = nn.ModuleList(PoolerLayer(sizes) for _ in range(sizes.num_layers))
        self.output_projection = nn.Linear(sizes.width, sizes.output_width)
        nn.init.trunc_normal_(self.queries, std=QUERY_STD)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """(B, Q, D) for Q queries of all levels, in the order of the levels.

        Args:
            levels: (B, N, C) image tokens of each; N may differ.

        Raises:
            ValueError: there are more or fewer levels than groups of queries.
        """
        groups = self.queries.split(list(self.sizes.num_queries), dim=1)
        if len(levels) != len(groups):
            raise ValueError(
                f"an attention pooler with queries for {len(groups)} levels {tuple(self.sizes.num_queries)} got image tokens of "
                f"{len(levels)}: queries would read another level than they learned. Give one group of tokens for each."
            )
        pooled = [self._pool(group, self.input_projection(level)) for group, level in zip(groups, levels, strict=True)]
        return self.output_projection(torch.cat(pooled, dim=1))

    def _pool(self, queries: Tensor, tokens: Tensor) -> Tensor:
        states = queries.expand(len(tokens), -1, -1).to(tokens.dtype)
        read = torch.cat([states, tokens], dim=1)
        for layer in self.layers:
            states = layer(states, read)
        return states


class PoolerLayer(nn.Module):
    """Cross-attention and MLP, each on what a layer norm makes of the states, and added to them.

    Args:
        sizes: of the pooler.
    """

    def __init__(self, sizes: PoolerSizes) -> None:
        super().__init__()
        width, hidden = sizes.width, sizes.width * sizes.mlp_ratio
        self.num_heads = sizes.num_heads
        self.query_norm, self.read_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))
        self.up_proj, self.down_proj = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, states: Tensor, read: Tensor) -> Tensor:
        """(B, Q, W) of the next layer.

        Args:
            states: (B, Q, W) of the queries.
            read: (B, Q + N, W) what they read.
        """
        states = states + self._attend(self.query_norm(states), self.read_norm(read))
        return states + self.down_proj(functional.gelu(self.up_proj(self.mlp_norm(states))))

    def _attend(self, states: Tensor, read: Tensor) -> Tensor:
        queries, keys, values = self._heads(self.q_proj(states)), self._heads(self.k_proj(read)), self._heads(self.v_proj(read))
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def _heads(self, states: Tensor) -> Tensor:
        """(B, N, W) -> (B, heads, N, W / heads)."""
        return states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
