"""Learned queries that read image tokens by cross-attention: many tokens of one level or several become a fixed number."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

QUERY_STD = 0.02
"""Standard deviation of new queries. Source: LHRS-Bot (github.com/NJU-LHRS/LHRS-Bot, 84d9fdd), `AttnPooler`."""
POSITIONS = ("none", "sine")
LONGEST_WAVE = 100.0
"""Of sine positions, by the side of a patch over 2 pi; 10,000 of Vaswani et al. 2017 are for texts, and a grid has tens of places."""


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
        positions: "none", as LHRS-Bot's; "sine": fixed positions of a square grid are added to what each layer's attention compares and
            reads, those of the queries spread over the same image. Source: the resampler of Qwen-VL (Bai et al. 2023), which adds them
            to what is compared alone.

    Raises:
        ValueError: a size is not positive, `width` is no multiple of `num_heads`, or there are unknown positions, or such as neither the
            width nor the numbers of queries fit.
    """

    width: int
    output_width: int
    input_width: int | None = None
    num_layers: int = 6
    num_heads: int = 16
    num_queries: Sequence[int] = (144,)
    mlp_ratio: int = 4
    positions: str = "none"

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
        self._check_positions()

    def _check_positions(self) -> None:
        if self.positions not in POSITIONS:
            raise ValueError(f"positions='{self.positions}' of an attention pooler is unknown; choices: {', '.join(POSITIONS)}.")
        squares = all(isqrt(count) ** 2 == count for count in self.num_queries)
        if self.positions != "none" and (self.width % 4 or not squares):
            raise ValueError(
                f"positions='{self.positions}' needs a width that 4 divides and square numbers of queries, found {self.width} and "
                f"{self.num_queries}. Choose such, as 144 queries, or positions='none'."
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
            ValueError: there are more or fewer levels than groups of queries, or positions are wanted of tokens that are no square grid.
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
        places = self._places(states, tokens)
        for layer in self.layers:
            states = layer(states, read, places=places)
        return states

    def _places(self, queries: Tensor, tokens: Tensor) -> Tensor | None:
        """(Q + N, W) positions of queries and image tokens, None without any."""
        if self.sizes.positions == "none":
            return None
        grids = [isqrt(states.shape[1]) for states in (queries, tokens)]
        if grids[1] ** 2 != tokens.shape[1]:
            raise ValueError(f"{tokens.shape[1]} image tokens of a level are no square grid, which positions='sine' need.")
        return torch.cat([sine_positions(grid, self.sizes.width, span=grids[1]) for grid in grids]).to(tokens)


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

    def forward(self, states: Tensor, read: Tensor, *, places: Tensor | None = None) -> Tensor:
        """(B, Q, W) of the next layer.

        Args:
            states: (B, Q, W) of the queries.
            read: (B, Q + N, W) what they read.
            places: (Q + N, W) positions of it; None = they are not told.
        """
        asked, seen = self.query_norm(states), self.read_norm(read)
        if places is not None:
            asked, seen = asked + places[: states.shape[1]], seen + places
        states = states + self._attend(asked, seen)
        return states + self.down_proj(functional.gelu(self.up_proj(self.mlp_norm(states))))

    def _attend(self, states: Tensor, read: Tensor) -> Tensor:
        queries, keys, values = self._heads(self.q_proj(states)), self._heads(self.k_proj(read)), self._heads(self.v_proj(read))
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def _heads(self, states: Tensor) -> Tensor:
        """(B, N, W) -> (B, heads, N, W / heads)."""
        return states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def sine_positions(grid: int, width: int, *, span: int) -> Tensor:
    """(grid * grid, width) float32 sines and cosines of rows, then of columns, row by row.

    Args:
        grid: places along a side.
        width: of a position; 4 divides it.
        span: what the side of the image is long, so that grids of other sizes share positions.
    """
    waves = LONGEST_WAVE ** -torch.linspace(0, 1, width // 4 + 1)[:-1]
    centres = (torch.arange(grid) + 0.5) * (span / grid)
    angles = centres[:, None] * waves
    along = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows, columns = along[:, None].expand(-1, grid, -1), along[None].expand(grid, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)
