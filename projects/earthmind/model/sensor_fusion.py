"""Fusion of the sensors' vision tokens: each sensor's tokens are weighted by the other sensors' tokens at the same position."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class FusedTokens(NamedTuple):
    """What fusion gives. T tiles, N tokens a tile, D width; F locations, T where each tile keeps its tokens.

    A tuple, because ZeRO-3 finds the tensors of a module's output in tuples and dicts alone, and brings its parameters back by them.

    Attributes:
        tokens: (F, N, D) tokens after fusion, in tile order; of "hca" in the order of questions and locations.
        before: (T, N, D) tokens before fusion.
        others: (T, N, D) float32, mean token of the other sensors at the same position; zero where there is none.
        paired: (T,) float32, 1.0 where another sensor shows the same position, else 0.0.
        importance: (T, N) float32, weight each token got; 1 without another sensor, but for several views that are averaged.
    """

    tokens: Tensor
    before: Tensor
    others: Tensor
    paired: Tensor
    importance: Tensor


class SensorFusion(nn.Module):
    """Weights of vision tokens across sensors.

    `mutual_attention`: importance of token x of one sensor at position n = sigmoid(sum over queries q of <other_n, q * x_n>),
    with other_n the mean of the other sensors' tokens at that position; fused token = importance * x. With two sensors this is
    the upstream EarthMind rule (its `local_query`). `concat` leaves tokens as they are.
    """

    def __init__(self, kind: str, *, num_queries: int, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.zeros(num_queries, width)) if kind == "mutual_attention" else None

    def forward(self, tokens: Tensor, tile_group: Tensor) -> FusedTokens:
        """Fuse.

        Args:
            tokens: (T, N, D).
            tile_group: (2, T) long; row 0: tiles that show the same position of the same sample share a number, row 1: those
                that are also of the same sensor share a number. Numbers are below T.
        """
        # float32: a difference of two sums, of which bfloat16 would leave little, and a sigmoid
        exact = tokens.float()
        others, paired = counterparts(exact, tile_group)
        importance = self._importance(exact, others, paired=paired)
        return FusedTokens((exact * importance[..., None]).to(tokens.dtype), tokens, others, paired, importance)

    def _importance(self, tokens: Tensor, others: Tensor, *, paired: Tensor) -> Tensor:
        if self.queries is None:
            return torch.ones_like(tokens[..., 0])
        score = (others * tokens) @ self.queries.float().sum(0)
        return torch.sigmoid(score) * paired[:, None] + (1 - paired[:, None])


def counterparts(tokens: Tensor, tile_group: Tensor) -> tuple[Tensor, Tensor]:
    """(T, N, D) mean token of the other sensors at the same position, zero where there is none; (T,) 1.0 where there is one, else 0.0.

    Args:
        tokens: (T, N, D) float32.
        tile_group: (2, T), see `SensorFusion.forward`.
    """
    weight = torch.ones(tokens.shape[0], dtype=tokens.dtype, device=tokens.device)
    zeros, none = torch.zeros_like(tokens), torch.zeros_like(weight)
    others = zeros.index_add(0, tile_group[0], tokens)[tile_group[0]] - zeros.index_add(0, tile_group[1], tokens)[tile_group[1]]
    count = none.index_add(0, tile_group[0], weight)[tile_group[0]] - none.index_add(0, tile_group[1], weight)[tile_group[1]]
    paired = (count > 0).to(tokens.dtype)
    # the subtraction leaves rounding noise where no other sensor is: the mask makes it exactly zero
    return others / count.clamp(min=1)[:, None, None] * paired[:, None, None], paired
